// Sends the record of every request over a TCP connection, one JSON object a line.
import { definePlugin, type PluginHost } from '../plugin.ts'
import { connectionFields, connectionTimes, hostField, portField, Receivers } from '../receivers.ts'
import { RecordQueue } from '../record-queue.ts'
import { TcpCarrier } from './tcp-carrier.ts'

export const tcpLog = definePlugin({
  name: 'tcp-log',
  config: {
    host: { ...hostField, required: true },
    port: { ...portField, required: true, example: 5140 },
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
