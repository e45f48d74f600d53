import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** The folder of the demo's page. */
export const PAGE_FOLDER: string = fileURLToPath(new URL("./page/", import.meta.url));

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/** One file of a page, ready to be sent. */
export interface PageFile {
  /** Its bytes. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Its media type. */
  readonly contentType: string;
}

/**
 * Reads a file of a page.
 *
 * @param folder Where the page is. Folders below it are not served.
 * @param pathname The path of the request's URL; `/` is the page itself.
 * @returns The file, or `undefined` when there is none of this name.
 */
export async function readPageFile(
  folder: string,
  pathname: string,
): Promise<PageFile | undefined> {
  const name = pathname === "/" ? "index.html" : pathname.slice(1);
  const contentType = CONTENT_TYPES[/^[\w-]+\.([a-z]+)$/.exec(name)?.[1] ?? ""];
  if (contentType === undefined) return undefined;
  try {
    return { body: new Uint8Array(await readFile(`${folder}/${name}`)), contentType };
  } catch {
    // What cannot be read is not there for a visitor, whatever the reason.
    return undefined;
  }
}
