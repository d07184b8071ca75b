package config

import (
	"fmt"
	"strings"
)

// needs finds settings that are right each for itself and do not work together.
func needs(l Loaded) (problems []Problem) {
	c := l.Config
	need := func(missing bool, key, because, remedy string) {
		if missing {
			problems = append(problems, Problem{key, l.Origin(because), fmt.Sprintf("%s from %s needs %s: %s", because, l.Origin(because), key, remedy)})
		}
	}
	kafka := c.Bus.Driver == "kafka"
	need(kafka && len(c.Kafka.Brokers) == 0, "kafka.brokers", "bus.driver", "set FUSION_KAFKA_BROKERS, such as kafka-1:9092,kafka-2:9092")
	need(kafka && c.Kafka.SASL != "none" && c.Kafka.User == "", "kafka.user", "kafka.sasl", "set FUSION_KAFKA_USER and FUSION_KAFKA_PASSWORD")
	need(c.Kafka.CertFile != "" && c.Kafka.KeyFile == "", "kafka.key_file", "kafka.cert_file", "a certificate is shown with its key")
	need(c.Kafka.KeyFile != "" && c.Kafka.CertFile == "", "kafka.cert_file", "kafka.key_file", "a key goes with its certificate")
	need(c.HTTP.TLSCertFile != "" && c.HTTP.TLSKeyFile == "", "http.tls_key_file", "http.tls_cert_file", "a certificate is shown with its key")
	need(c.HTTP.TLSKeyFile != "" && c.HTTP.TLSCertFile == "", "http.tls_cert_file", "http.tls_key_file", "a key goes with its certificate")
	need(c.HTTP.TLSClientCA != "" && c.HTTP.TLSCertFile == "", "http.tls_cert_file", "http.tls_client_ca_file", "clients show a certificate to who shows one")
	need(c.Service.TLSCertFile != "" && c.Service.TLSKeyFile == "", "service.tls_key_file", "service.tls_cert_file", "a certificate is shown with its key")
	need(c.Service.TLSKeyFile != "" && c.Service.TLSCertFile == "", "service.tls_cert_file", "service.tls_key_file", "a key goes with its certificate")
	need(!c.Mail.SMTPURL.IsZero() && c.Mail.From == "", "mail.from", "mail.smtp_url", "set FUSION_MAIL_FROM to the sender of the shop's letters, such as shop@example.com")
	need(c.Catalog.URL != "" && c.Service.Key.IsZero(), "service.key", "catalog.url", "set FUSION_SERVICE_KEY to the same secret in both deployments")
	need(c.Identity.URL != "" && c.Service.Key.IsZero(), "service.key", "identity.url", "set FUSION_SERVICE_KEY to the same secret in both deployments")
	// Who names a folder means the shop in it, and must not get another one that the
	// environment names.
	if strings.HasPrefix(l.Origin("data.dir"), "flag ") && !c.Database.URL.IsZero() && !strings.HasPrefix(l.Origin("database.url"), "flag ") {
		problems = append(problems, Problem{"data.dir", l.Origin("data.dir"), fmt.Sprintf(
			"data.dir from %s and database.url from %s name two databases: unset the one, or give both as flags", l.Origin("data.dir"), l.Origin("database.url"))})
	}
	return problems
}
