package config_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/config"
)

var _ = Describe("settings that need each other", func() {
	kafka := func(more ...string) world {
		return world{env: append([]string{"FUSION_BUS=kafka", "FUSION_KAFKA_BROKERS=kafka-1:9092,kafka-2:9092"}, more...)}
	}

	DescribeTable("are refused when one is missing, which is named with who asks for it and what to do", func(w world, message string) {
		Expect(refused(w)).To(ConsistOf(message))
	},
		Entry("Kafka without brokers", world{env: []string{"FUSION_BUS=kafka"}},
			"bus.driver from env FUSION_BUS needs kafka.brokers: set FUSION_KAFKA_BROKERS, such as kafka-1:9092,kafka-2:9092"),
		Entry("Kafka without brokers, from a file", world{files: files{"/shop/fusion.yaml": "bus: {driver: kafka}"}},
			"bus.driver from file ./fusion.yaml needs kafka.brokers: set FUSION_KAFKA_BROKERS, such as kafka-1:9092,kafka-2:9092"),
		Entry("a way to log in without a user", kafka("FUSION_KAFKA_SASL=scram-sha-512"),
			"kafka.sasl from env FUSION_KAFKA_SASL needs kafka.user: set FUSION_KAFKA_USER and FUSION_KAFKA_PASSWORD"),
		Entry("a certificate without its key", kafka("FUSION_KAFKA_TLS=true", "FUSION_KAFKA_CERT_FILE=us.pem"),
			"kafka.cert_file from env FUSION_KAFKA_CERT_FILE needs kafka.key_file: a certificate is shown with its key"),
		Entry("a key without its certificate", kafka("FUSION_KAFKA_TLS=true", "FUSION_KAFKA_KEY_FILE=us.key"),
			"kafka.key_file from env FUSION_KAFKA_KEY_FILE needs kafka.cert_file: a key goes with its certificate"),
		Entry("a certificate of the shop without its key", world{env: []string{"FUSION_HTTP_TLS_CERT_FILE=shop.pem"}},
			"http.tls_cert_file from env FUSION_HTTP_TLS_CERT_FILE needs http.tls_key_file: a certificate is shown with its key"),
		Entry("a key of the shop without its certificate", world{env: []string{"FUSION_HTTP_TLS_KEY_FILE=shop.key"}},
			"http.tls_key_file from env FUSION_HTTP_TLS_KEY_FILE needs http.tls_cert_file: a key goes with its certificate"),
		Entry("an authority of clients without TLS", world{env: []string{"FUSION_HTTP_TLS_CLIENT_CA_FILE=ca.pem"}},
			"http.tls_client_ca_file from env FUSION_HTTP_TLS_CLIENT_CA_FILE needs http.tls_cert_file: clients show a certificate to who shows one"),
		Entry("a certificate of ours without its key", world{env: []string{"FUSION_SERVICE_TLS_CERT_FILE=us.pem"}},
			"service.tls_cert_file from env FUSION_SERVICE_TLS_CERT_FILE needs service.tls_key_file: a certificate is shown with its key"),
		Entry("a key of ours without its certificate", world{env: []string{"FUSION_SERVICE_TLS_KEY_FILE=us.key"}},
			"service.tls_key_file from env FUSION_SERVICE_TLS_KEY_FILE needs service.tls_cert_file: a key goes with its certificate"),
		Entry("a catalog elsewhere without the key that it knows us by", world{env: []string{"FUSION_CATALOG_URL=http://catalog:8080"}},
			"catalog.url from env FUSION_CATALOG_URL needs service.key: set FUSION_SERVICE_KEY to the same secret in both deployments"),
		Entry("accounts elsewhere without the key that they know us by", world{env: []string{"FUSION_IDENTITY_URL=http://accounts:8080"}},
			"identity.url from env FUSION_IDENTITY_URL needs service.key: set FUSION_SERVICE_KEY to the same secret in both deployments"),
	)

	It("are reported together, with all else that is wrong", func() {
		Expect(refused(world{env: []string{"FUSION_BUS=kafka", "FUSION_KAFKA_SASL=plain", "FUSION_CATALOG_URL=http://catalog:8080"}})).To(HaveLen(3))
	})

	DescribeTable("are accepted together", func(w world) { load(w) },
		Entry("Kafka with its brokers", kafka()),
		Entry("Kafka with a user", kafka("FUSION_KAFKA_SASL=plain", "FUSION_KAFKA_USER=fusion", "FUSION_KAFKA_PASSWORD="+password)),
		Entry("Kafka with a certificate and its key", kafka("FUSION_KAFKA_TLS=true", "FUSION_KAFKA_CERT_FILE=us.pem", "FUSION_KAFKA_KEY_FILE=us.key")),
		Entry("a catalog elsewhere with its key", world{env: []string{"FUSION_CATALOG_URL=http://catalog:8080", "FUSION_SERVICE_KEY=" + password}}),
		Entry("a service key alone, as the catalog's own deployment has it", world{env: []string{"FUSION_SERVICE_KEY=" + password}}),
		Entry("brokers that nobody uses", world{env: []string{"FUSION_KAFKA_BROKERS=kafka:9092", "FUSION_KAFKA_SASL=plain"}}),
	)
})

var _ = Describe("the address of another deployment", func() {
	with := func(url string) world {
		return world{env: []string{"FUSION_CATALOG_URL=" + url, "FUSION_SERVICE_KEY=" + password}}
	}

	DescribeTable("is", func(url, taken string) {
		Expect(load(with(url)).Config.Catalog).To(Equal(config.Catalog{URL: taken}))
	},
		func(url, _ string) string { return url },
		Entry(nil, "http://catalog:8080", "http://catalog:8080"),
		Entry(nil, "https://shop.example.org", "https://shop.example.org"),
		Entry(nil, "HTTP://catalog", "HTTP://catalog"),
		Entry(nil, "http://[::1]:8080", "http://[::1]:8080"),
		Entry(nil, "http://catalog:8080/", "http://catalog:8080"),
		Entry(nil, "http://gateway/catalog/", "http://gateway/catalog"),
	)

	DescribeTable("is not", func(url string) {
		Expect(refused(with(url))).To(ConsistOf(And(HavePrefix("catalog.url from env FUSION_CATALOG_URL is "), ContainSubstring("must be an http or https URL such as http://catalog:8080"))))
	},
		func(url string) string { return url },
		Entry(nil, "catalog"),
		Entry(nil, "catalog:8080"),
		Entry(nil, "//catalog:8080"),
		Entry(nil, "ftp://catalog"),
		Entry(nil, "http://"),
		Entry(nil, "http://:8080"),
		Entry(nil, "http:///offers"),
		Entry(nil, "http://fusion:"+password+"@catalog"),
		Entry(nil, "http://catalog?x=1"),
		Entry(nil, "http://catalog/?"),
		Entry(nil, "http://catalog#top"),
		Entry(nil, "http://cata log"),
		Entry(nil, "http://catalog:http"),
		Entry(nil, "http://catalog:99999"),
	)
})
