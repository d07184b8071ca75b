package config_test

import (
	"maps"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/fusioncommerce/fusion/internal/platform/config"
)

var _ = Describe("the configuration", func() {
	It("works with nothing given at all", func() {
		loaded, err := config.Load(config.Sources{})
		Expect(err).NotTo(HaveOccurred())
		Expect(loaded.File).To(BeEmpty())
		Expect(loaded.Config.HTTP.Addr).To(Equal("127.0.0.1:8080"))
		Expect(loaded.Config.Database).To(Equal(config.Database{AutoMigrate: true, APIConnections: 16, BusConnections: 6}))
		Expect(loaded.Config.Bus.Driver).To(Equal("inprocess"))
		Expect(loaded.Config.Auth.AccessTTL).To(Equal(15 * time.Minute))
		Expect(loaded.Config.Shutdown).To(Equal(config.Shutdown{Timeout: 25 * time.Second}))
		for _, r := range loaded.Rows() {
			Expect(r.Origin).To(Equal("default"), r.Key)
			Expect(r.Value).To(Equal(r.Default), r.Key)
		}
	})

	DescribeTable("takes a value from the highest source that has it",
		func(w world, level, origin string) {
			loaded := load(w)
			Expect(loaded.Config.Log.Level).To(Equal(level))
			Expect(loaded.Origin("log.level")).To(Equal(origin))
		},
		Entry("flag over environment over file", world{
			flags: flags{"log-level": "debug"},
			env:   []string{"FUSION_LOG_LEVEL=warn"},
			files: files{"/shop/fusion.yaml": "log: {level: error}"},
		}, "debug", "flag --log-level"),
		Entry("environment over file", world{
			env:   []string{"FUSION_LOG_LEVEL=warn"},
			files: files{"/shop/fusion.yaml": "log: {level: error}"},
		}, "warn", "env FUSION_LOG_LEVEL"),
		Entry("file over default", world{files: files{"/shop/fusion.yaml": "log: {level: error}"}}, "error", "file ./fusion.yaml"),
		Entry("default when the file speaks of other things", world{files: files{"/shop/fusion.yaml": "log: {format: json}"}}, "info", "default"),
	)

	It("does not judge what is overruled, so that a flag can get a shop going", func() {
		loaded := load(world{flags: flags{"log-level": "info"}, env: []string{"FUSION_LOG_LEVEL=loud"}})
		Expect(loaded.Origin("log.level")).To(Equal("flag --log-level"))
	})

	It("has an origin for known keys only", func() {
		Expect(load(world{}).Origin("log.lvl")).To(BeEmpty())
	})

	DescribeTable("reads every form of value",
		func(w world, value func(config.Config) any, want types.GomegaMatcher) {
			Expect(value(load(w).Config)).To(want)
		},
		Entry("a list from a flag", world{flags: flags{"modules": "catalog, orders,"}}, func(c config.Config) any { return c.Modules }, Equal([]string{"catalog", "orders"})),
		Entry("a list from a file", world{files: files{"/shop/fusion.yaml": "modules: [catalog, orders]"}}, func(c config.Config) any { return c.Modules }, Equal([]string{"catalog", "orders"})),
		Entry("a comma list from a file", world{files: files{"/shop/fusion.yaml": "modules: catalog,orders"}}, func(c config.Config) any { return c.Modules }, Equal([]string{"catalog", "orders"})),
		Entry("an empty list that overrules a file", world{
			env: []string{"FUSION_MODULES="}, files: files{"/shop/fusion.yaml": "modules: catalog"},
		}, func(c config.Config) any { return c.Modules }, BeEmpty()),
		Entry("a duration", world{files: files{"/shop/fusion.yaml": "shutdown: {timeout: 1m30s}"}}, func(c config.Config) any { return c.Shutdown.Timeout }, Equal(90*time.Second)),
		Entry("a number as a number", world{files: files{"/shop/fusion.yaml": "database: {api_connections: 500}"}}, func(c config.Config) any { return c.Database.APIConnections }, Equal(500)),
		Entry("a number as a text", world{files: files{"/shop/fusion.yaml": `database: {bus_connections: "1"}`}}, func(c config.Config) any { return c.Database.BusConnections }, Equal(1)),
		Entry("false", world{files: files{"/shop/fusion.yaml": "database: {auto_migrate: false}"}}, func(c config.Config) any { return c.Database.AutoMigrate }, BeFalse()),
		Entry("off", world{env: []string{"FUSION_DATABASE_AUTO_MIGRATE=Off"}}, func(c config.Config) any { return c.Database.AutoMigrate }, BeFalse()),
		Entry("an empty address that switches a listener off", world{env: []string{"FUSION_OPS_ADDR="}}, func(c config.Config) any { return c.Ops.Addr }, BeEmpty()),
		Entry("a dotted key", world{files: files{"/shop/fusion.yaml": "http.addr: :80"}}, func(c config.Config) any { return c.HTTP.Addr }, Equal(":80")),
		Entry("a file that is empty", world{files: files{"/shop/fusion.yaml": ""}}, func(c config.Config) any { return c.Log.Level }, Equal("info")),
		Entry("a section whose keys are all commented out", world{files: files{"/shop/fusion.yaml": "http:\n  # addr: :80\n"}}, func(c config.Config) any { return c.HTTP.Addr }, Equal("127.0.0.1:8080")),
	)

	Describe("other names", func() {
		DescribeTable("are accepted", func(w world, key, value, origin string) {
			r := row(load(w), key)
			Expect(r.Value).To(Equal(value))
			Expect(r.Origin).To(Equal(origin))
		},
			func(_ world, _, _, origin string) string { return origin },
			Entry(nil, world{env: []string{"DATABASE_URL=" + dsn}}, "database.url", shown, "env DATABASE_URL"),
			Entry(nil, world{env: []string{"PORT=5000"}}, "http.addr", "0.0.0.0:5000", "env PORT"),
			Entry(nil, world{env: []string{"FUSION_ADDR=:80"}}, "http.addr", ":80", "env FUSION_ADDR"),
			Entry(nil, world{env: []string{"FUSION_DATA=/data"}}, "data.dir", "/data", "env FUSION_DATA"),
			Entry(nil, world{env: []string{"FUSION_DATA_DIR=/data"}}, "data.dir", "/data", "env FUSION_DATA_DIR"),
			Entry(nil, world{env: []string{"FUSION_BUS=inprocess"}}, "bus.driver", "inprocess", "env FUSION_BUS"),
			Entry(nil, world{flags: flags{"addr": ":80"}}, "http.addr", ":80", "flag --addr"),
			Entry(nil, world{flags: flags{"http-addr": ":80"}}, "http.addr", ":80", "flag --http-addr"),
			Entry(nil, world{flags: flags{"data": "/data"}}, "data.dir", "/data", "flag --data"),
			Entry(nil, world{flags: flags{"bus": "inprocess"}}, "bus.driver", "inprocess", "flag --bus"),
		)

		DescribeTable("of a hosting platform yield to ours", func(env []string, key, value string) {
			Expect(row(load(world{env: env, files: files{"/run/db": dsn}}), key).Value).To(Equal(value))
		},
			Entry("the database", []string{"DATABASE_URL=postgres://platform/x", "FUSION_DATABASE_URL=" + dsn}, "database.url", shown),
			Entry("the database from a secret file", []string{"DATABASE_URL=postgres://platform/x", "FUSION_DATABASE_URL_FILE=/run/db"}, "database.url", shown),
			Entry("but not to ours when it is empty", []string{"DATABASE_URL=" + dsn, "FUSION_DATABASE_URL="}, "database.url", shown),
			Entry("the port", []string{"PORT=5000", "FUSION_HTTP_ADDR=:80"}, "http.addr", ":80"),
			Entry("also when they are empty", []string{"PORT=", "DATABASE_URL="}, "http.addr", "127.0.0.1:8080"),
		)

		DescribeTable("for the same setting are refused together", func(w world, message string) {
			Expect(refused(w)).To(ConsistOf(message))
		},
			func(_ world, message string) string { return message },
			Entry(nil, world{env: []string{"FUSION_ADDR=:80", "FUSION_HTTP_ADDR=:81"}}, "FUSION_HTTP_ADDR and FUSION_ADDR are both set and mean http.addr: keep one"),
			Entry(nil, world{flags: flags{"addr": ":80", "http-addr": ":81"}}, "flag --addr and --http-addr are both given and mean http.addr: keep one"),
			Entry(nil, world{files: files{"/shop/fusion.yaml": "http.addr: :80\nhttp:\n  addr: :81"}}, "http.addr is given twice in file ./fusion.yaml: keep one"),
		)
	})

	Describe("a secret file", func() {
		It("gives its content without the newline editors add", func() {
			loaded := load(world{env: []string{"FUSION_DATABASE_URL_FILE=/run/secrets/db"}, files: files{"/run/secrets/db": dsn + "\r\n"}})
			Expect(loaded.Config.Database.URL.Reveal()).To(Equal(dsn))
			Expect(loaded.Origin("database.url")).To(Equal("file /run/secrets/db (FUSION_DATABASE_URL_FILE)"))
		})

		It("is found from the working directory", func() {
			loaded := load(world{env: []string{"FUSION_BOOTSTRAP_KEY_FILE=key"}, files: files{"/shop/key": " k "}})
			Expect(loaded.Config.Bootstrap.Key.Reveal()).To(Equal(" k "))
		})

		It("counts when the variable beside it is empty, as compose leaves it", func() {
			loaded := load(world{env: []string{"FUSION_BOOTSTRAP_KEY=", "FUSION_BOOTSTRAP_KEY_FILE=/key"}, files: files{"/key": "k"}})
			Expect(loaded.Config.Bootstrap.Key.Reveal()).To(Equal("k"))
		})

		It("does not count when its own name is empty", func() {
			Expect(load(world{env: []string{"FUSION_DATABASE_URL_FILE="}}).Origin("database.url")).To(Equal("default"))
		})

		DescribeTable("is refused", func(w world, message string) {
			Expect(refused(w)).To(ConsistOf(message))
		},
			Entry("beside the secret itself",
				world{env: []string{"FUSION_DATABASE_URL=" + dsn, "FUSION_DATABASE_URL_FILE=/db"}, files: files{"/db": dsn}},
				"FUSION_DATABASE_URL and FUSION_DATABASE_URL_FILE are both set and mean database.url: keep one"),
			Entry("when it is missing",
				world{env: []string{"FUSION_DATABASE_URL_FILE=/db"}},
				"database.url: cannot read the file that FUSION_DATABASE_URL_FILE names: it does not exist"),
			Entry("when it is the secret itself, without showing it",
				world{env: []string{"FUSION_BOOTSTRAP_KEY_FILE=" + password}},
				"bootstrap.key: cannot read the file that FUSION_BOOTSTRAP_KEY_FILE names: it does not exist"),
			Entry("when it is unreadable",
				world{env: []string{"FUSION_DATABASE_URL_FILE=/db"}, files: files{"/db": forbidden}},
				"database.url: cannot read the file that FUSION_DATABASE_URL_FILE names: permission denied"),
			Entry("when it is empty, which would mean a private database",
				world{env: []string{"FUSION_DATABASE_URL_FILE=/db"}, files: files{"/db": "\n"}},
				"database.url: the file that FUSION_DATABASE_URL_FILE names is empty"),
			Entry("for what is no secret",
				world{env: []string{"FUSION_LOG_LEVEL_FILE=/level"}},
				"unknown environment variable FUSION_LOG_LEVEL_FILE: only secrets are read from files, use FUSION_LOG_LEVEL"),
		)
	})

	Describe("the config file", func() {
		every := files{
			"/given.yaml":                      "log: {level: debug}",
			"/shop/fusion.yaml":                "log: {format: json}",
			"/xdg/fusion/fusion.yaml":          "log: {format: json}",
			"/home/.config/fusion/fusion.yaml": "log: {format: json}",
			"/etc/fusion/fusion.yaml":          "log: {format: json}",
			"/shop/conf/relative.yaml":         "log: {level: debug}",
		}
		DescribeTable("is the first one found and never merged with another", func(w world, without []string, want string) {
			w.files = maps.Clone(every)
			for _, name := range without {
				delete(w.files, name)
			}
			loaded := load(w)
			Expect(loaded.File).To(Equal(want))
			if w.flags != nil || w.env[0] == "FUSION_CONFIG=/given.yaml" {
				Expect(loaded.Origin("log.level")).To(Equal("file " + want))
				Expect(loaded.Config.Log.Format).To(Equal("auto"))
			} else {
				Expect(loaded.Origin("log.format")).To(Equal("file " + want))
			}
		},
			Entry("--config", world{flags: flags{"config": "/given.yaml"}, env: []string{"FUSION_CONFIG=/other.yaml"}}, nil, "/given.yaml"),
			Entry("--config with a relative path", world{flags: flags{"config": "conf/relative.yaml"}}, nil, "conf/relative.yaml"),
			Entry("FUSION_CONFIG", world{env: []string{"FUSION_CONFIG=/given.yaml"}}, nil, "/given.yaml"),
			Entry("the working directory", world{env: []string{"XDG_CONFIG_HOME=/xdg"}}, nil, "./fusion.yaml"),
			Entry("XDG_CONFIG_HOME", world{env: []string{"XDG_CONFIG_HOME=/xdg", "HOME=/home"}}, []string{"/shop/fusion.yaml"}, "/xdg/fusion/fusion.yaml"),
			Entry("~/.config when XDG_CONFIG_HOME is unset", world{env: []string{"HOME=/home"}}, []string{"/shop/fusion.yaml"}, "/home/.config/fusion/fusion.yaml"),
			Entry("~/.config when XDG_CONFIG_HOME is relative", world{env: []string{"HOME=/home", "XDG_CONFIG_HOME=xdg"}}, []string{"/shop/fusion.yaml"}, "/home/.config/fusion/fusion.yaml"),
			Entry("/etc", world{env: []string{"HOME=/nonexistent"}}, []string{"/shop/fusion.yaml"}, "/etc/fusion/fusion.yaml"),
		)

		It("is read from the disk by the running program", func() {
			name := filepath.Join(GinkgoT().TempDir(), "fusion.yaml")
			Expect(os.WriteFile(name, []byte("---\nlog: {level: debug}\n"), 0o600)).To(Succeed())
			sources := config.Process(map[string]string{"config": name})
			Expect(sources.Environ).To(Equal(os.Environ()))
			sources.Environ = nil
			loaded, err := config.Load(sources)
			Expect(err).NotTo(HaveOccurred())
			Expect(loaded.Origin("log.level")).To(Equal("file " + name))
		})

		DescribeTable("is refused", func(w world, message types.GomegaMatcher) {
			Expect(refused(w)).To(ConsistOf(message))
		},
			Entry("when it was asked for and is missing", world{flags: flags{"config": "/no.yaml"}}, Equal("cannot read the config file /no.yaml given by flag --config: it does not exist")),
			Entry("when the environment asked for it", world{env: []string{"FUSION_CONFIG=no.yaml"}}, Equal("cannot read the config file no.yaml given by env FUSION_CONFIG: it does not exist")),
			Entry("when it exists and cannot be read", world{files: files{"/etc/fusion/fusion.yaml": forbidden}}, Equal("cannot read the config file /etc/fusion/fusion.yaml: permission denied")),
			Entry("when it is not YAML", world{files: files{"/shop/fusion.yaml": "http:\n\taddr: x"}}, HavePrefix("./fusion.yaml is not a YAML file of keys and values: line 2")),
			Entry("when it is a text, without showing the text", world{files: files{"/shop/fusion.yaml": password}}, HavePrefix("./fusion.yaml is not a YAML file of keys and values")),
			Entry("when it points at nothing, without showing where to", world{files: files{"/shop/fusion.yaml": "bootstrap: {key: *" + password + "}"}}, HavePrefix("./fusion.yaml is not a YAML file of keys and values")),
			Entry("when it holds two documents", world{files: files{"/shop/fusion.yaml": "log: {level: info}\n---\nlog: {level: warn}"}}, Equal("./fusion.yaml holds more than one YAML document: keep one")),
			Entry("when a key is there twice", world{files: files{"/shop/fusion.yaml": "log: {level: info}\nlog: {level: warn}"}}, ContainSubstring("already defined")),
			Entry("when a key has no value", world{files: files{"/shop/fusion.yaml": "ops:\n  addr:"}}, Equal("ops.addr in file ./fusion.yaml has no value: write one, or remove the line for the default")),
			Entry("when a section is a value", world{files: files{"/shop/fusion.yaml": "log: debug"}}, Equal("log in file ./fusion.yaml is a section: it takes log.level, log.format")),
			Entry("when a value is a section", world{files: files{"/shop/fusion.yaml": "log: {level: {is: debug}}"}}, HavePrefix("log.level from file ./fusion.yaml is a section: must be one of")),
			Entry("when a secret is a number, which YAML may have changed", world{files: files{"/shop/fusion.yaml": "bootstrap: {key: 0123}"}}, HaveSuffix("; put the text in quotes")),
		)
	})

	Describe("an unknown name", func() {
		DescribeTable("is refused with the one that was probably meant", func(w world, message string) {
			Expect(refused(w)).To(ConsistOf(message))
		},
			Entry("a slip in a file", world{files: files{"/shop/fusion.yaml": "htpt:\n  addr: :80"}}, "unknown key htpt.addr in file ./fusion.yaml: did you mean http.addr?"),
			Entry("another way to write it", world{files: files{"/shop/fusion.yaml": "database: {autoMigrate: x}"}}, "unknown key database.autoMigrate in file ./fusion.yaml: did you mean database.auto_migrate?"),
			Entry("the section left out", world{files: files{"/shop/fusion.yaml": "addr: :80"}}, "unknown key addr in file ./fusion.yaml: did you mean http.addr?"),
			Entry("no near one, but a known section", world{files: files{"/shop/fusion.yaml": "log: {destination: x}"}}, "unknown key log.destination in file ./fusion.yaml: log takes log.level, log.format"),
			Entry("nothing near", world{files: files{"/shop/fusion.yaml": "wallpaper: blue"}}, "unknown key wallpaper in file ./fusion.yaml"),
			Entry("a number as a key", world{files: files{"/shop/fusion.yaml": "ops: {80: x}"}}, "unknown key ops.80 in file ./fusion.yaml: ops takes ops.addr"),
			Entry("a slip in a variable", world{env: []string{"FUSION_HTTP_ADR=:80"}}, "unknown environment variable FUSION_HTTP_ADR: did you mean FUSION_HTTP_ADDR?"),
			Entry("a variable without its section", world{env: []string{"FUSION_AUTO_MIGRATE=no"}}, "unknown environment variable FUSION_AUTO_MIGRATE: did you mean FUSION_DATABASE_AUTO_MIGRATE?"),
			Entry("a slip in a secret file", world{env: []string{"FUSION_DATABSE_URL_FILE=/x"}}, "unknown environment variable FUSION_DATABSE_URL_FILE: did you mean FUSION_DATABASE_URL_FILE?"),
			Entry("a variable with nothing near", world{env: []string{"FUSION_FOO=1"}}, "unknown environment variable FUSION_FOO"),
			Entry("a slip in a flag", world{flags: flags{"log-lvel": "info"}}, "unknown flag --log-lvel: did you mean --log-level?"),
		)

		It("is nobody's business without our prefix, or when another part of the program reads it", func() {
			load(world{env: []string{"PATH=/bin", "FUSIONS=1", "=C:=C:", "broken", "FUSION_POSTGRES_BIN=/usr/lib/postgresql/17/bin"}})
		})

		It("is left alone when the caller says whose it is", func() {
			load(world{env: []string{"FUSION_TEST_DATABASE_URL=x", "FUSION_UI_DEV=x"}, foreign: []string{"FUSION_TEST_*", "FUSION_UI_DEV"}})
		})

		links := []string{
			"FUSION_SERVICE_HOST=10.0.0.1", "FUSION_SERVICE_PORT=80", "FUSION_SERVICE_PORT_HTTP=80", "FUSION_PORT=tcp://10.0.0.1:80",
			"FUSION_PORT_80_TCP=tcp://10.0.0.1:80", "FUSION_PORT_80_TCP_PROTO=tcp", "FUSION_PORT_80_TCP_PORT=80", "FUSION_PORT_80_TCP_ADDR=10.0.0.1",
			"FUSION_OPS_SERVICE_HOST=10.0.0.2", "FUSION_OPS_PORT=tcp://10.0.0.2:80",
		}
		It("is left alone when Kubernetes made it from a Service called fusion", func() {
			load(world{env: append([]string{"KUBERNETES_SERVICE_HOST=10.0.0.0"}, links...)})
			Expect(refused(world{env: links})).To(HaveLen(len(links)))
			Expect(refused(world{env: []string{"KUBERNETES_SERVICE_HOST=10.0.0.0", "FUSION_PORT=8080"}})).To(HaveLen(1))
		})
	})

	It("takes a duration of nothing below the smallest where that has a meaning", func() {
		for _, nothing := range []string{"0", "0s"} {
			Expect(load(world{env: []string{"FUSION_ORDERS_UNPAID_FOR=" + nothing}}).Config.Orders.UnpaidFor).To(BeZero())
		}
	})

	Describe("a wrong value", func() {
		DescribeTable("is named with its key, its origin and what is allowed", func(variable, message string) {
			Expect(refused(world{env: []string{variable}})).To(ConsistOf(message))
		},
			func(variable, _ string) string { return variable },
			Entry(nil, "FUSION_LOG_LEVEL=loud", `log.level from env FUSION_LOG_LEVEL is "loud": must be one of debug, info, warn, error`),
			Entry(nil, "FUSION_LOG_FORMAT=jsno", `log.format from env FUSION_LOG_FORMAT is "jsno": must be one of auto, json, pretty; did you mean json?`),
			Entry(nil, "FUSION_BUS=in-process", `bus.driver from env FUSION_BUS is "in-process": must be one of inprocess, kafka; did you mean inprocess?`),
			Entry(nil, "FUSION_BUS=pigeon", `bus.driver from env FUSION_BUS is "pigeon": must be one of inprocess, kafka`),
			Entry(nil, "FUSION_DATABASE_API_CONNECTIONS=0", `database.api_connections from env FUSION_DATABASE_API_CONNECTIONS is "0": must be a whole number from 1 to 500`),
			Entry(nil, "FUSION_DATABASE_BUS_CONNECTIONS=501", `database.bus_connections from env FUSION_DATABASE_BUS_CONNECTIONS is "501": must be a whole number from 1 to 500`),
			Entry(nil, "FUSION_DATABASE_BUS_CONNECTIONS=", `database.bus_connections from env FUSION_DATABASE_BUS_CONNECTIONS is "": must be a whole number from 1 to 500`),
			Entry(nil, "FUSION_DATABASE_AUTO_MIGRATE=maybe", `database.auto_migrate from env FUSION_DATABASE_AUTO_MIGRATE is "maybe": must be true or false`),
			Entry(nil, "FUSION_SHUTDOWN_TIMEOUT=11m", `shutdown.timeout from env FUSION_SHUTDOWN_TIMEOUT is "11m": must be a duration from 1s to 10m, such as 25s`),
			Entry(nil, "FUSION_ORDERS_UNPAID_FOR=1m", `orders.unpaid_for from env FUSION_ORDERS_UNPAID_FOR is "1m": must be a duration from 5m to 720h, such as 1h, or 0s for never`),
			Entry(nil, "FUSION_SHUTDOWN_TIMEOUT=25", `shutdown.timeout from env FUSION_SHUTDOWN_TIMEOUT is "25": must be a duration from 1s to 10m, such as 25s; say the unit, such as s or m`),
			Entry(nil, "PORT=http", `http.addr from env PORT is "0.0.0.0:http": must be host:port, such as 127.0.0.1:8080 or :8080`),
			Entry(nil, "FUSION_MODULES=catalog,Orders", `modules from env FUSION_MODULES contains "Orders": must be module names, such as catalog,orders; empty: all of them`),
			Entry(nil, "FUSION_MODULES=orders,orders", `modules from env FUSION_MODULES contains "orders": must be module names, such as catalog,orders; empty: all of them; it is there twice`),
			Entry("a secret is not shown", "FUSION_DATABASE_URL="+password,
				"database.url from env FUSION_DATABASE_URL is wrong (its value is not shown): must be a PostgreSQL URL such as postgres://user:password@host/database "+
					"(special characters percent-encoded) or pairs such as host=… user=…; empty: a private cluster in data.dir"),
			Entry("nor is one in the wrong place", "FUSION_HTTP_ADDR="+dsn, `http.addr from env FUSION_HTTP_ADDR is "`+shown+`": must be host:port, such as 127.0.0.1:8080 or :8080`),
		)

		DescribeTable("is refused", func(key, value string) {
			Expect(refused(world{files: files{"/shop/fusion.yaml": key + ": " + value}})).To(ConsistOf(HavePrefix(key + " from file ./fusion.yaml ")))
		},
			Entry("no directory", "data.dir", `""`),
			Entry("no address", "http.addr", `""`),
			Entry("a port alone", "http.addr", "8080"),
			Entry("a port beyond all ports", "http.addr", "':65536'"),
			Entry("a URL for an address", "http.addr", "http://localhost:80"),
			Entry("no network", "http.trusted_proxies", "10.0.0.0/40"),
			Entry("a name for a network", "http.trusted_proxies", "proxy.local"),
			Entry("an origin with a path", "http.cors_origins", "https://shop.example/"),
			Entry("an origin as nobody sends it", "http.cors_origins", "https://Shop.example"),
			Entry("an origin with the port that goes without saying", "http.cors_origins", "https://shop.example:443"),
			Entry("a public URL with a path", "http.public_url", "https://shop.example.com/shop"),
			Entry("a public URL with a slash", "http.public_url", "https://shop.example.com/"),
			Entry("any origin", "http.cors_origins", `"*"`),
			Entry("a store that is none", "limits.store_url", "http://localhost:6379"),
			Entry("fewer than no requests", "limits.requests_per_minute", "-1"),
			Entry("a version of TLS that is broken", "http.tls_min_version", `"1.1"`),
			Entry("a blank in an address", "ops.addr", "local host:80"),
			Entry("half a number", "database.api_connections", "16.5"),
			Entry("a number of another kind", "database.api_connections", "16.0"),
			Entry("a huge number", "database.api_connections", "18446744073709551615"),
			Entry("a list for a number", "database.api_connections", "[1]"),
			Entry("a number for a switch", "database.auto_migrate", "2"),
			Entry("a number for a duration", "shutdown.timeout", "25"),
			Entry("a number in a list", "modules", "[catalog, 7]"),
			Entry("a number for a list", "modules", "7"),
			Entry("another database", "database.url", "mysql://localhost/shop"),
			Entry("a bare host", "database.url", "localhost:5432"),
			Entry("a DSN without an end", "database.migrate_url", `"host=db password='x"`),
		)

		It("is cut short when it is long", func() {
			long := make([]byte, 5000)
			for i := range long {
				long[i] = 'x'
			}
			Expect(len(refused(world{env: []string{"FUSION_LOG_LEVEL=" + string(long)}})[0])).To(BeNumerically("<", 300))
		})

		It("is reported together with all others", func() {
			_, err := config.Load(world{
				flags: flags{"log-level": "loud", "colour": "red"},
				env:   []string{"FUSION_SHUTDOWN_TIMEOUT=0s", "FUSION_WAREHOUSE=1", "FUSION_DATABASE_URL=" + password},
				files: files{"/shop/fusion.yaml": "database: {api_connections: 0, shards: 2}"},
			}.sources())
			Expect(err).To(MatchError(And(
				HavePrefix("configuration: 7 problems\n  - "),
				ContainSubstring("\n  - log.level from flag --log-level is"),
				ContainSubstring("unknown flag --colour"),
				ContainSubstring("\n  - shutdown.timeout from env FUSION_SHUTDOWN_TIMEOUT is"),
				ContainSubstring("\n  - unknown environment variable FUSION_WAREHOUSE"),
				ContainSubstring("\n  - database.url from env FUSION_DATABASE_URL is wrong"),
				ContainSubstring("\n  - database.api_connections from file ./fusion.yaml is 0"),
				ContainSubstring("\n  - unknown key database.shards in file ./fusion.yaml"),
				Not(ContainSubstring(password)),
			)))
		})

		It("alone fits on one line", func() {
			_, err := config.Load(world{env: []string{"FUSION_LOG_LEVEL=loud"}}.sources())
			Expect(err).To(MatchError(HavePrefix("configuration: log.level from env")))
			Expect(err).NotTo(MatchError(ContainSubstring("\n")))
		})
	})
})
