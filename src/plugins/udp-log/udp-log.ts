// Sends the record of every request as a UDP datagram, one JSON object each.
import { definePlugin, type PluginHost } from '../plugin.ts'
import { hostField, portField, timeoutField } from '../receivers.ts'
import { UdpReceivers } from '../udp-receivers.ts'

export const udpLog = definePlugin({
  name: 'udp-log',
  priority: 1,
  config: {
    host: { ...hostField, required: true },
    port: { ...portField, required: true, example: 5140 },
    timeout: timeoutField,
  },
  open(host: PluginHost) {
    const receivers = new UdpReceivers(host)
    return {
      log(record, config) {
        receivers.at(config).append(JSON.stringify(record))
      },
      stop: () => receivers.stop(),
    }
  },
})
