// Sends the record of every request to a syslog server, that of this machine if no other is named.
import { definePlugin, type PluginHost } from '../plugin.ts'
import { hostField, portField, timeoutField } from '../receivers.ts'
import { severityFields, syslogMessage } from '../syslog-message.ts'
import { UdpReceivers } from '../udp-receivers.ts'

/** Node can't write to /dev/log, which takes datagrams: here it is where such servers listen on a network (RFC 5426). */
const local = { host: '127.0.0.1', port: 514, timeout: timeoutField.default }

export const syslog = definePlugin({
  name: 'syslog',
  priority: 1,
  config: {
    ...severityFields,
    host: { ...hostField, help: `name or address of the server; ${local.host} if not given` },
    port: { ...portField, help: `of the server; ${local.port} if not given` },
  },
  open(host: PluginHost) {
    const receivers = new UdpReceivers(host)
    return {
      log(record, config) {
        const message = syslogMessage(record, config, '-', host.clock)
        if (message !== undefined) receivers.at({ ...local, ...config }).append(message)
      },
      stop: () => receivers.stop(),
    }
  },
})
