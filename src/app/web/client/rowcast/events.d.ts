import { type Line, type Opening, type Told } from "./line.js";
export declare function openEvents(opening: Opening, told: Told): Line;
/** Reads a stream's text, in whatever pieces it comes, and gives the data of each event. */
export declare function eventsOf(event: (data: string) => void): (text: string) => void;
