// Stands in for readable-stream/lib/_stream_writable.js in the bundle: winston's copy of what Node
// has itself, 56 KB of it.
module.exports = require('node:stream').Writable;
