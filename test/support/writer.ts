// What writes for plugins where no node does.
import type { Writer } from '../../src/plugins/plugin.ts'

/** Finds no row, and makes none. */
export const noWriter: Writer = {
  update: async () => false,
  insert: async () => {
    throw new Error('there is nothing to write to')
  },
  exchange: async () => null,
}
