/**
 * Why a test is left out that fetches a Debian, a kernel or a tool of its own: a plain `npm test`
 * asks for Node and npm only. undefined: it may, as with `npm test -- --all`, with `CI=true`, and
 * if the file of the test is named.
 */
export const LEFT_OUT: string | undefined =
  process.env['NPM_TEST'] === 'plain' ? 'only with npm test -- --all' : undefined;
