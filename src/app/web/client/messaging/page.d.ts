export type ToastKind = "info" | "success" | "error";
/** The page's document, where there is a page. */
export declare const page: () => Document | null;
/** Where DOM events go; nowhere outside a page. */
export declare const pageTarget: () => EventTarget | null;
/** Tells the page. */
export declare function tell(target: EventTarget | null, name: string, detail: object): void;
/** Calls everybody; one that throws disturbs nobody else. */
export declare function callAll<T>(callbacks: Iterable<(value: T) => void>, value: T): void;
/** A notification of the browser's, where the page is hidden and they are permitted. */
export declare function notify(title: string, body: string, tag: string): void;
/** Toasts in a corner; each goes by itself. */
export declare class Toasts {
    #private;
    show(text: string, kind: ToastKind): void;
    clear(): void;
}
/** Escapes text for a page that builds HTML itself; `textContent` is the better way. */
export declare function escapeHtml(text: string): string;
