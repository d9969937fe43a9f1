// A path in the store, as an option or operand.

import * as v from "valibot";

const PATH = /^(\/|(\/[A-Za-z0-9_@-]+)+)$/;
const WATCH_PATH = /^(\/|\/?[A-Za-z0-9_@-]+(\/[A-Za-z0-9_@-]+)*)$/;
const PATH_BYTES_MAX = 3072;

/** "/", "/local/domain/0" */
export const storePathOption = v.pipe(
  v.string("wanted a path in the store"),
  v.maxLength(PATH_BYTES_MAX, `wanted a path of at most ${PATH_BYTES_MAX} bytes`),
  v.regex(PATH, "wanted a path in the store such as /local/domain/0"),
);

/** Also a relative one, and "@introduceDomain" or "@releaseDomain". */
export const watchPathOption = v.pipe(
  v.string("wanted a path in the store"),
  v.maxLength(PATH_BYTES_MAX, `wanted a path of at most ${PATH_BYTES_MAX} bytes`),
  v.regex(WATCH_PATH, "wanted a path in the store such as /local/domain/0"),
);
