// Refuses requests whose body is larger than it may be.
import { definePlugin, type PluginAnswer } from '../plugin.ts'

const bytesPerMebibyte = 1024 * 1024

export const requestSizeLimiting = definePlugin({
  name: 'request-size-limiting',
  priority: 950,
  config: {
    allowed_payload_size: { type: 'number', default: 128, help: 'the largest body that may pass, in MiB' },
  },
  phases: {
    access(request, config) {
      const bytesMax = Number(config.allowed_payload_size) * bytesPerMebibyte
      // Nothing else can be expected: the gateway itself refuses any other word (RFC 9110, 10.1.1).
      const answer = request.incoming.headers.has('expect') ? expectationFailed : tooLarge
      if (Number(request.headers.get('content-length') ?? 0) > bytesMax) return answer
      // A body that tells no length is counted as it comes.
      const { bodyLimit } = request
      if (!bodyLimit || bytesMax < bodyLimit.bytesMax) request.bodyLimit = { bytesMax, answer }
      return undefined
    },
  },
})

const tooLarge: PluginAnswer = {
  status: 413,
  body: { message: 'Request size limit exceeded' },
  // The rest of the body is of no use to anybody, and nothing but that can come on this connection.
  headers: { Connection: 'close' },
}

/** As in 0.8, a client that asked whether to send its body is told so. */
const expectationFailed: PluginAnswer = { ...tooLarge, status: 417 }
