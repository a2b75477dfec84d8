// Sends counts, times and sizes of every request to a Datadog agent, which takes what statsd takes, and tags.
import type { Json } from '../../base/json.ts'
import type { FieldVerdict } from '../../entities/define.ts'
import { metricFields, metricLines, metricPacking } from '../metric-lines.ts'
import { definePlugin, type PluginHost } from '../plugin.ts'
import { UdpReceivers } from '../udp-receivers.ts'

export const datadog = definePlugin({
  name: 'datadog',
  priority: 1,
  config: {
    ...metricFields,
    tags: {
      type: 'array',
      check: checkTags,
      example: ['env:production'],
      help: 'of every metric, each `name` or `name:value`',
    },
  },
  open(host: PluginHost) {
    const receivers = new UdpReceivers(host, metricPacking)
    return {
      log(record, config) {
        const tags = [config.tags ?? []].flat()
        const end = tags.length === 0 ? '' : `|#${tags.join(',')}`
        const lines = metricLines(record, config.metrics)
        receivers.at(config).append(...lines.map((line) => line + end))
      },
      stop: () => receivers.stop(),
    }
  },
})

/** What would end a tag, a metric or a line. */
function checkTags(value: Json): FieldVerdict {
  const wrong = [value].flat().find((tag) => tag === '' || /[\s,|#]/.test(String(tag)))
  if (wrong === undefined) return undefined
  return { error: `a tag has no blanks and none of , | #, and is not empty: got '${wrong}'` }
}
