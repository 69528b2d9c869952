// Stands in, in the bundle, for parts of winston that colour, date and serialise lines: this
// program writes its own plain lines and uses none of them. 35 KB.
module.exports = {};
