// Appends the record of every request to a file, one JSON object a line.
import { definePlugin, type PluginHost } from '../plugin.ts'
import { LineFile } from './line-file.ts'

export const fileLog = definePlugin({
  name: 'file-log',
  priority: 1,
  config: {
    path: { type: 'string', required: true, help: 'created with mode 0644 if missing, appended to' },
  },
  open(host: PluginHost) {
    const files = new Map<string, LineFile>()
    const fileAt = (path: string) => {
      const file = files.get(path) ?? new LineFile(path, host)
      files.set(path, file)
      return file
    }
    return {
      log(record, { path }) {
        fileAt(String(path)).append(JSON.stringify(record))
      },
      async stop() {
        await Promise.all([...files.values()].map((file) => file.close()))
      },
    }
  },
})
