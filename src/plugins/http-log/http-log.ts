// Sends the record of every request to an HTTP server, one request for each.
import type { Json } from '../../base/json.ts'
import type { FieldVerdict } from '../../entities/define.ts'
import { definePlugin, type PluginHost } from '../plugin.ts'
import { connectionFields, connectionTimes, Receivers } from '../receivers.ts'
import { RecordQueue } from '../record-queue.ts'
import { HttpCarrier } from './http-carrier.ts'

export const httpLog = definePlugin({
  name: 'http-log',
  priority: 1,
  config: {
    http_endpoint: {
      type: 'url',
      required: true,
      check: checkEndpoint,
      example: 'http://logs.example.com/troop',
      help: 'where records are sent; its query string is left out',
    },
    method: { type: 'string', default: 'POST', enum: ['POST', 'PUT', 'PATCH'], help: 'of the requests' },
    ...connectionFields,
  },
  open(host: PluginHost) {
    const receivers = new Receivers()
    return {
      log(record, config) {
        const [endpoint, method] = [String(config.http_endpoint), String(config.method)]
        const times = connectionTimes(config)
        const key = `${method} ${times.timeoutMs} ${times.keepaliveMs} ${endpoint}`
        const make = () =>
          new RecordQueue(new HttpCarrier({ endpoint: new URL(endpoint), method, ...times, ...host }), host)
        receivers.at(key, make).append(JSON.stringify(record))
      },
      stop: () => receivers.stop(),
    }
  },
})

function checkEndpoint(value: Json): FieldVerdict {
  return /^https?:\/\//i.test(String(value)) ? undefined : { error: 'Supported protocols are HTTP and HTTPS' }
}
