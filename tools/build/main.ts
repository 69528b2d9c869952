import { buildBundles } from './bundles.ts';

/** `npm run build`: the files that are shipped, into dist. */

await buildBundles(process.cwd(), 'dist');
