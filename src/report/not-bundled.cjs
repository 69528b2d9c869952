// Stands in, in the bundle, for parts of winston that colour, date and serialise lines, and that end
// its transports: this program writes its own plain lines and uses none of them. 50 KB.
module.exports = {};
