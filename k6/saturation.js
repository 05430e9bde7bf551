// saturation: fifty connections that post market orders without a pause, for twenty seconds.
// Shows how many orders a second are taken in at most, with k6 on the same machine, and proves that past that point
// answers are 200, or 429 and 503 with Retry-After: slower or refused, never lost or hanging.
import http from 'k6/http';
import { check } from 'k6';
import { accepted, BASE, HEADERS, market, STATS, summary } from './orders.js';

export const options = {
  vus: 50,
  duration: __ENV.DURATION || '20s',
  summaryTrendStats: STATS,
  thresholds: { checks: ['rate==1'], http_req_duration: ['p(99)<2000'] },
};
http.setResponseCallback(http.expectedStatuses(200, 429, 503));
const body = JSON.stringify(market());
const params = { headers: Object.assign({ 'Content-Type': 'application/json' }, HEADERS) };
export default function () {
  const answer = http.post(`${BASE}/api/orders/execute`, body, params);
  if (answer.status === 200) accepted.add(1);
  check(answer, {
    'accepted, or refused with the time to come again': (r) => r.status === 200 || ([429, 503].includes(r.status) && 'Retry-After' in r.headers),
  });
}
export { summary as handleSummary };
