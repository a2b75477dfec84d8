// A plugin of 0.8 whose service is gone. Configurations for it are taken, so that what was written for 0.8 still works;
// nothing is sent, and the node's log says so.
import type { Fields } from '../entities/define.ts'
import { definePlugin, type Plugin } from './plugin.ts'

export interface Retired {
  readonly name: string
  readonly priority: number
  /** As it was called. */
  readonly service: string
  readonly config: Fields
}

export function retiredPlugin({ name, priority, service, config }: Retired): Plugin {
  return definePlugin({
    name,
    priority,
    config,
    open({ logger }) {
      let isSaid = false
      return {
        log() {
          if (!isSaid) logger.warn('nothing is sent: the service is retired', { service })
          isSaid = true
        },
      }
    },
  })
}
