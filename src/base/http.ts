// node:http without an import of it: that reads each of its exports, and by one of them, a getter, Node loads its whole
// client for the web. In each thread that is 50 ms of its start and 2.4 MB.
export const http = process.getBuiltinModule('node:http')
