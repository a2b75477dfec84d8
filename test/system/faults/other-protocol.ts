// Loaded before a node: makes it one of another version of Troop, which speaks other versions of the protocol between
// nodes (`FAULTS_PROTOCOL`, e.g. `1-2`) and says more in its hello than this one knows.
import { registerHooks } from 'node:module'

const [min, max] = (process.env.FAULTS_PROTOCOL ?? '').split('-')

if (min !== undefined && max !== undefined) {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      if (!url.endsWith('/cluster/transport/transport.ts')) return loaded
      const source = String(loaded.source)
        .replace(/protocolVersions = \{[^}]*\}/, `protocolVersions = { min: ${min}, max: ${max} }`)
        .replace('return { protocol:', 'return { since: "later", protocol:')
      return { ...loaded, source }
    },
  })
}
