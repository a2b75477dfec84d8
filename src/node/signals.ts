// What a node in the foreground does when the system or a person signals it.

export interface SignalHandlers {
  /** Fast stop: SIGTERM, SIGINT. */
  stop(): void
  /** Drain, then stop: SIGQUIT. */
  quit(): void
  /** Read the configuration again: SIGHUP. */
  reload(): void
  /** Start a new log file after the old one was moved away: SIGUSR1. */
  reopenLog(): void
}

/** Handles the signals until the returned function is called. */
export function handleSignals(handlers: SignalHandlers): () => void {
  const bindings: [NodeJS.Signals, () => void][] = [
    ['SIGTERM', handlers.stop],
    ['SIGINT', handlers.stop],
    ['SIGQUIT', handlers.quit],
    ['SIGHUP', handlers.reload],
    ['SIGUSR1', handlers.reopenLog],
  ]
  for (const [signal, handler] of bindings) process.on(signal, handler)
  return () => {
    for (const [signal, handler] of bindings) process.off(signal, handler)
  }
}
