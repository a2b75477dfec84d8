// What writes for plugins where no node does.
import type { Writer } from '../../src/plugins/plugin.ts'

/** Finds no row. */
export const noWriter: Writer = { update: async () => false }
