package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics of one program. Labels are bounded: routes, not paths; consumers, not events.
type Metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.HistogramVec
	deliveries *prometheus.CounterVec
	batches    *prometheus.HistogramVec
}

// NewMetrics registers what the program counts.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fusion_http_request_duration_seconds", Help: "Time to answer a request.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"method", "route", "status"}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fusion_event_deliveries_total", Help: "Events that consumers handled, that failed and are tried again, and that were parked.",
		}, []string{"consumer", "outcome"}),
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fusion_event_batch_duration_seconds", Help: "Time to handle a batch of events.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"consumer"}),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "fusion_build_info", Help: "1, with the version as label."}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.requests, m.deliveries, m.batches, info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Request notes one answered request.
func (m *Metrics) Request(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

// Delivery notes one batch.
func (m *Metrics) Delivery(consumer string, handled, failed, parked int, took time.Duration) {
	m.deliveries.WithLabelValues(consumer, "handled").Add(float64(handled))
	m.deliveries.WithLabelValues(consumer, "failed").Add(float64(failed))
	m.deliveries.WithLabelValues(consumer, "parked").Add(float64(parked))
	m.batches.WithLabelValues(consumer).Observe(took.Seconds())
}
