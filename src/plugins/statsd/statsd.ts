// Sends counts, times and sizes of every request to a statsd server.
import { metricFields, metricLines, metricPacking } from '../metric-lines.ts'
import { definePlugin, type PluginHost } from '../plugin.ts'
import { UdpReceivers } from '../udp-receivers.ts'

export const statsd = definePlugin({
  name: 'statsd',
  priority: 1,
  config: metricFields,
  open(host: PluginHost) {
    const receivers = new UdpReceivers(host, metricPacking)
    return {
      log(record, config) {
        receivers.at(config).append(...metricLines(record, config.metrics))
      },
      stop: () => receivers.stop(),
    }
  },
})
