// Sends the record of every request over a TCP connection, one JSON object a line.
import type { Json } from '../../base/json.ts'
import type { FieldVerdict } from '../../entities/define.ts'
import { definePlugin, type PluginHost } from '../plugin.ts'
import { connectionFields, connectionTimes, Receivers } from '../receivers.ts'
import { RecordQueue } from '../record-queue.ts'
import { TcpCarrier } from './tcp-carrier.ts'

export const tcpLog = definePlugin({
  name: 'tcp-log',
  config: {
    host: { type: 'string', required: true, help: 'name or address of the receiver' },
    port: { type: 'number', required: true, check: checkPort, example: 5140, help: 'of the receiver' },
    ...connectionFields,
  },
  open(hosting: PluginHost) {
    const receivers = new Receivers()
    return {
      log(record, config) {
        const [host, port] = [String(config.host), Number(config.port)]
        const times = connectionTimes(config)
        const key = `${port} ${times.timeoutMs} ${times.keepaliveMs} ${host}`
        const make = () => new RecordQueue(new TcpCarrier({ host, port, ...times, ...hosting }), hosting)
        receivers.at(key, make).append(JSON.stringify(record))
      },
      stop: () => receivers.stop(),
    }
  },
})

function checkPort(value: Json): FieldVerdict {
  const port = Number(value)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return undefined
  return { error: `port must be a whole number from 1 to 65535, got ${port}` }
}
