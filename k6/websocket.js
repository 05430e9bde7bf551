// websocket: twenty clients that post a market order, watch it to its end and start again, for twenty seconds.
// Proves that every stream is complete: each seq once and in order although the client connects after its POST, then 1000.
import { market, post, STATS, summary } from './orders.js';
import { watch } from './stream.js';

export const options = {
  scenarios: {
    websocket: { executor: 'constant-vus', vus: 20, duration: __ENV.DURATION || '20s', gracefulStop: '30s' },
  },
  summaryTrendStats: STATS,
  thresholds: { checks: ['rate==1'], stream_complete: ['rate==1'], event_lag_ms: ['p(99)<250'], ws_connecting: ['p(95)<250'] },
};
export default function () {
  const orderId = post(market(), 'market');
  if (orderId !== null) watch(orderId);
}
export { summary as handleSummary };
