// Sends the record of every request to Loggly, as a syslog message with the customer's token.
import type { Json, JsonObject } from '../../base/json.ts'
import type { FieldVerdict } from '../../entities/define.ts'
import { definePlugin, type PluginHost } from '../plugin.ts'
import { hostField, portField, timeoutField } from '../receivers.ts'
import { severityFields, syslogMessage } from '../syslog-message.ts'
import { UdpReceivers } from '../udp-receivers.ts'

export const loggly = definePlugin({
  name: 'loggly',
  priority: 1,
  config: {
    host: { ...hostField, default: 'logs-01.loggly.com' },
    port: { ...portField, default: 514 },
    key: {
      type: 'string',
      required: true,
      secret: true,
      check: checkKey,
      example: '01234567-89ab-cdef-0123-456789abcdef',
      help: 'the customer token',
    },
    tags: { type: 'array', default: ['kong'], help: 'by which records are found' },
    ...severityFields,
    timeout: timeoutField,
  },
  open(host: PluginHost) {
    const receivers = new UdpReceivers(host)
    return {
      log(record, config) {
        const message = syslogMessage(record, config, dataOf(config), host.clock)
        if (message !== undefined) receivers.at(config).append(message)
      },
      stop: () => receivers.stop(),
    }
  },
})

/** 41058 is Loggly's number as an enterprise. */
function dataOf({ key, tags }: JsonObject): string {
  const params = [tags ?? []].flat().map((tag) => ` tag="${String(tag).replace(/["\\\]]/g, '\\$&')}"`)
  return `[${key}@41058${params.join('')}]`
}

/** As a part of a name (RFC 5424, 6.3.2), without the `@` that ends it. */
function checkKey(value: Json): FieldVerdict {
  if (/^[!#-<>-?A-\\^-~]+$/.test(String(value))) return undefined
  return { error: 'key has ASCII characters without blanks and without " = ] @' }
}
