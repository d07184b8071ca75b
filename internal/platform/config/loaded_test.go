package config_test

import (
	"encoding/json"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/config"
)

var _ = Describe("the effective configuration", func() {
	loaded := func() config.Loaded {
		return load(world{
			flags: flags{"addr": ":80"},
			env:   []string{"FUSION_DATABASE_URL=" + dsn, "FUSION_BOOTSTRAP_KEY=" + password, "FUSION_SERVICE_KEY=" + password, "FUSION_KAFKA_PASSWORD=" + password, "FUSION_SHUTDOWN_TIMEOUT=600s"},
			files: files{"/shop/fusion.yaml": "modules: [catalog, orders]\ndatabase: {auto_migrate: no, migrate_url: 'host=db password=" + password + "'}"},
		})
	}

	It("is shown key by key in a stable order, secrets hidden", func() {
		var set []string
		for _, r := range loaded().Rows() {
			if r.Origin != "default" {
				set = append(set, r.Key+" = "+r.Value+" ("+r.Origin+")")
			}
		}
		Expect(set).To(Equal([]string{
			"http.addr = :80 (flag --addr)",
			"database.url = " + shown + " (env FUSION_DATABASE_URL)",
			"database.migrate_url = host=db password=*** (file ./fusion.yaml)",
			"database.auto_migrate = false (file ./fusion.yaml)",
			"modules = catalog,orders (file ./fusion.yaml)",
			"kafka.password = *** (env FUSION_KAFKA_PASSWORD)",
			"service.key = *** (env FUSION_SERVICE_KEY)",
			"bootstrap.key = *** (env FUSION_BOOTSTRAP_KEY)",
			"shutdown.timeout = 10m (env FUSION_SHUTDOWN_TIMEOUT)",
		}))
		Expect(loaded().Rows()).To(ContainElement(And(HaveField("Key", "shutdown.delay"), HaveField("Value", "0s"), HaveField("Origin", "default"))))
	})

	It("is shown with what one needs to change it", func() {
		r := row(loaded(), "database.api_connections")
		Expect(json.Marshal(r)).To(MatchJSON(`{"key":"database.api_connections","value":"16","origin":"default",
			"description":"Connections for requests","env":"FUSION_DATABASE_API_CONNECTIONS","default":"16"}`))
	})

	It("cannot be changed through its rows", func() {
		l := loaded()
		l.Rows()[0].Value = "changed"
		Expect(row(l, "data.dir").Value).To(Equal("./data"))
	})
})

var _ = Describe("the list of settings", func() {
	It("declares all of each setting", func() {
		names, flags := map[string]string{}, map[string]string{"config": "the file"}
		for _, k := range config.Keys() {
			Expect(k.Description).NotTo(BeEmpty(), k.Name)
			Expect(k.Allowed).NotTo(BeEmpty(), k.Name)
			for _, n := range append(k.EnvAliases, k.Env) {
				Expect(names).NotTo(HaveKey(n))
				names[n] = k.Name
			}
			for _, f := range k.Flags {
				Expect(flags).NotTo(HaveKey(f))
				flags[f] = k.Name
			}
		}
	})

	It("tells a command line what flags to offer", func() {
		Expect(config.Keys()[1]).To(Equal(config.Key{
			Name: "http.addr", Type: config.Text, Env: "FUSION_HTTP_ADDR", EnvAliases: []string{"FUSION_ADDR", "PORT"}, Flags: []string{"http-addr", "addr"},
			Default: "127.0.0.1:8080", Description: "Address the shop listens on", Allowed: "host:port, such as 127.0.0.1:8080 or :8080",
		}))
		types := map[string]config.Type{}
		for _, k := range config.Keys() {
			types[k.Name] = k.Type
		}
		Expect(types).To(And(
			HaveKeyWithValue("database.url", config.Hidden),
			HaveKeyWithValue("database.auto_migrate", config.Bool),
			HaveKeyWithValue("database.bus_connections", config.Int),
			HaveKeyWithValue("shutdown.timeout", config.Duration),
			HaveKeyWithValue("modules", config.List),
		))
	})

	It("becomes a table for the documentation", func() {
		lines := strings.Split(strings.TrimSuffix(config.Markdown(), "\n"), "\n")
		Expect(lines).To(HaveLen(2 + len(config.Keys())))
		Expect(lines).To(HaveEach(WithTransform(func(l string) int { return strings.Count(l, "|") }, Equal(6))))
		Expect(lines).To(ContainElements(
			"| `http.addr` | `127.0.0.1:8080` | `FUSION_HTTP_ADDR` `FUSION_ADDR` `PORT` | `--http-addr` `--addr` | Address the shop listens on: host:port, such as 127.0.0.1:8080 or :8080. |",
			"| `bootstrap.key` | empty | `FUSION_BOOTSTRAP_KEY` `FUSION_BOOTSTRAP_KEY_FILE` | `--bootstrap-key` | An owner API key of the default tenant, good while the program runs with it: any text; empty: no such key. |",
			"| `log.level` | `info` | `FUSION_LOG_LEVEL` | `--log-level` | Least severe messages to log: one of debug, info, warn, error. |",
		))
	})
})
