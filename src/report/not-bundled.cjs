// Stands in, in the bundle, for what this program does not use of packages; tools/build/bundles.ts has
// the list with the reasons.
module.exports = {};
