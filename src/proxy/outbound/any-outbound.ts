// Upstreams by what they speak: HTTP/1.1, or HTTP/2 where an API's `upstream_url` says that it is gRPC.
import { HttpOutbound, type HttpOutboundOptions } from './http-outbound.ts'
import { Http2Outbound } from './http2-outbound.ts'
import { Names } from './names.ts'
import type { Exchange, Outbound, OutboundRequest, Receiver } from './outbound.ts'
import { Trust } from './trust.ts'

export class AnyOutbound implements Outbound {
  readonly #http: HttpOutbound
  readonly #http2: Http2Outbound

  constructor(options: HttpOutboundOptions) {
    const { clock, names = new Names({ clock }), trust = new Trust() } = options
    const all = { ...options, names, trust }
    this.#http = new HttpOutbound(all)
    this.#http2 = new Http2Outbound(all)
  }

  send(request: OutboundRequest, receiver: Receiver): Exchange {
    return request.upstream.isGrpc ? this.#http2.send(request, receiver) : this.#http.send(request, receiver)
  }

  stop(): void {
    this.#http.stop()
    this.#http2.stop()
  }
}
