// Two plugins, one before the other, whose phases a test changes as it goes.
import { definePlugin, type Phases, type Plugin } from '../../src/plugins/plugin.ts'

/** Called `first` and `second`; each looks anew, whenever it is asked, at what it is to do. */
export function pluginPair(first: () => Phases, second: () => Phases): Plugin[] {
  const phases = (which: () => Phases): Phases => ({
    access: (...args) => which().access?.(...args),
    headers: (...args) => which().headers?.(...args),
  })
  return [
    definePlugin({ name: 'first', priority: 951, phases: phases(first) }),
    definePlugin({ name: 'second', priority: 700, phases: phases(second) }),
  ]
}
