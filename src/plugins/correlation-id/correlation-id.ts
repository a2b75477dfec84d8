// Gives every request an id that it keeps on its way through all services.
import type { Random } from '../../base/random.ts'
import { isFieldName } from '../header-field.ts'
import { PerRequest } from '../per-request.ts'
import { definePlugin, type PluginHost } from '../plugin.ts'

export const correlationId = definePlugin({
  name: 'correlation-id',
  config: {
    header_name: {
      type: 'string',
      default: 'Kong-Request-ID',
      check: (value) =>
        isFieldName(String(value))
          ? undefined
          : { error: `header_name is not the name of a header: '${value}'` },
      help: 'the header that carries the id',
    },
    generator: {
      type: 'string',
      default: 'uuid#counter',
      enum: ['uuid', 'uuid#counter'],
      help: 'a UUID for each request, or one for each worker thread with a number',
    },
    echo_downstream: { type: 'boolean', default: false, help: 'tell the client, too' },
  },
  open({ random }: PluginHost) {
    const count = counterOf(random)
    /** What reached this plugin, with its ids: several when the client sent as many. */
    const ids = new PerRequest<readonly string[]>()
    return {
      access(request, { header_name, generator }) {
        const name = String(header_name)
        if (!request.headers.has(name))
          request.headers.set(name, generator === 'uuid' ? random.uuid() : count())
        ids.set(request, request.headers.all(name))
        return undefined
      },
      headers({ headers }, { header_name, echo_downstream }, request) {
        const [first, ...others] = ids.get(request) ?? []
        if (echo_downstream !== true || first === undefined) return
        headers.set(String(header_name), first)
        for (const id of others) headers.append(String(header_name), id)
      },
    }
  },
})

/** `<uuid>#1`, `<uuid>#2` …: the UUID is this worker's alone, so no other one makes the same. */
function counterOf(random: Random): () => string {
  const uuid = random.uuid()
  let requests = 0
  return () => `${uuid}#${++requests}`
}
