import { type Line, type Opening, type Told } from "./line.js";
/** Threads in the address; more are subscribed to by frames. */
export declare const MOST_IN_ADDRESS = 100;
export declare function openSocket(opening: Opening, told: Told): Line;
/** Whether sockets get through just now: opens one and closes it when the bridge has greeted it. */
export declare function probeSocket(opening: Opening, found: () => void): Line;
