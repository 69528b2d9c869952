// Stands in, in the bundles, for what this program does not use of packages; bundles.ts has
// the list with the reasons.
module.exports = {};
