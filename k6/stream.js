// Watches one order to its end and judges the stream: every seq once, in order, from 1, then a close with 1000.
import ws from 'k6/ws';
import { check } from 'k6';
import { Rate, Trend } from 'k6/metrics';
import { HEADERS, SOCKETS } from './orders.js';

export const completeness = new Rate('stream_complete');
export const lag = new Trend('event_lag_ms', true);
const FINAL = ['confirmed', 'failed', 'cancelled', 'expired'];
const LONGEST_MS = 30_000;

export function watch(orderId) {
  let seq = 0;
  let status = '';
  let gap = false;
  let closed = 0;
  const answer = ws.connect(`${SOCKETS}/ws/${orderId}`, { headers: HEADERS }, (socket) => {
    socket.on('message', (text) => {
      const message = JSON.parse(text);
      if (message.type === 'snapshot') {
        gap = gap || message.events.some((event, n) => event.seq !== n + 1) || message.events.length !== message.seq;
      } else {
        gap = gap || message.seq !== seq + 1;
        // k6 has milliseconds only: good to distinguish 5 from 50; the benchmarks measure it finely.
        lag.add(Math.max(0, Date.now() - Date.parse(message.at)));
      }
      seq = message.seq;
      status = message.status;
    });
    socket.on('close', (code) => { closed = code; });
    socket.setTimeout(() => socket.close(), LONGEST_MS);
  });
  const opened = check(answer, { upgraded: (r) => r && r.status === 101 });
  const complete = opened && !gap && FINAL.includes(status) && closed === 1000;
  completeness.add(complete);
  return { complete, status };
}
