import { type Line, type Opening, type Told } from "./line.js";
export declare function openPolling(opening: Opening, told: Told): Line;
