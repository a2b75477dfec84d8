export { type Seen, Upstream } from '../../src/testing/upstream.ts'
