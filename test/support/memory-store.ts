export { MemoryStore } from '../../src/testing/memory-store.ts'
