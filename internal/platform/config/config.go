// Package config turns flags, environment, one file and the defaults into one
// typed struct, and remembers where each value came from.
//
// A shop that starts with a setting nobody meant is worse than one that does
// not start: an unknown name, a value outside its range or a secret that cannot
// be read stops the load, and all of them are reported at once. Nothing below
// Process looks at the process itself, so a spec states its world as a value.
//
// Only what must be known before the database can be reached belongs here.
// Settings of the shop live in the database; the two share no key, so that a
// value has exactly one home.
package config

import "time"

// Config is every setting the program starts with. The tags are the one source
// for parsing, checking, help and documentation:
//
//	key      name, or the section's name; the environment name and the flag follow from it
//	default  the value when nobody says otherwise
//	doc      one sentence for the operator
//	oneof    allowed words, separated by |, or the name of a list in choices
//	min max  bounds of a number or a duration, both allowed
//	zero     allows a duration of nothing below min and says what it means
//	is       name of a rule in rules
//	empty    allows the empty value and says what it means
//	env      a second FUSION_ name
//	paas     a name that hosting platforms set; "PORT=0.0.0.0:*" says how its value becomes ours
//	flag     a short flag beside the long one
type Config struct {
	Data      Data      `key:"data"`
	HTTP      HTTP      `key:"http"`
	Limits    Limits    `key:"limits"`
	Ops       Ops       `key:"ops"`
	Database  Database  `key:"database"`
	Modules   []string  `key:"modules" default:"" is:"module" empty:"all of them" doc:"Modules this process runs"`
	Bus       Bus       `key:"bus"`
	Kafka     Kafka     `key:"kafka"`
	Catalog   Catalog   `key:"catalog"`
	Identity  Identity  `key:"identity"`
	Service   Service   `key:"service"`
	Bootstrap Bootstrap `key:"bootstrap"`
	Audit     Audit     `key:"audit"`
	Tenants   Tenants   `key:"tenants"`
	Secrets   Secrets   `key:"secrets"`
	Auth      Auth      `key:"auth"`
	Outbound  Outbound  `key:"outbound"`
	Mail      Mail      `key:"mail"`
	Checkout  Checkout  `key:"checkout"`
	Orders    Orders    `key:"orders"`
	Payments  Payments  `key:"payments"`
	Shipping  Shipping  `key:"shipping"`
	Log       Log       `key:"log"`
	Shutdown  Shutdown  `key:"shutdown"`
}

// Data is what the program keeps on its own disk.
type Data struct {
	Dir string `key:"dir" default:"./data" is:"path" env:"FUSION_DATA" flag:"data" doc:"Directory of the private PostgreSQL cluster and of local files"`
}

// HTTP is the public listener.
type HTTP struct {
	Addr      string `key:"addr" default:"127.0.0.1:8080" is:"address" env:"FUSION_ADDR" paas:"PORT=0.0.0.0:*" flag:"addr" doc:"Address the shop listens on"`
	PublicURL string `key:"public_url" default:"" is:"site" empty:"what each request says" doc:"Where browsers find this installation, such as https://shop.example.com; shops with hosts of their own are found there by the same scheme and port"`
	// Whoever is trusted says for everybody else where they come from: none by default.
	TrustedProxies []string `key:"trusted_proxies" default:"" is:"network" empty:"none" doc:"Proxies before the shop, whose X-Forwarded-For or Forwarded is believed, as addresses or networks"`
	CORSOrigins    []string `key:"cors_origins" default:"" is:"origin" empty:"none" doc:"Origins whose pages may ask the shop from a browser"`
	MaxConnections int      `key:"max_connections" default:"1000" min:"0" max:"1000000" doc:"Connections of one address at a time; 0 is any number. Trusted proxies have any number"`
	TLSCertFile    string   `key:"tls_cert_file" default:"" is:"path" empty:"no TLS" doc:"Certificate of the shop, in PEM form and with those between it and its authority; read again when it changes"`
	TLSKeyFile     string   `key:"tls_key_file" default:"" is:"path" empty:"no TLS" doc:"Key of http.tls_cert_file, in PEM form"`
	TLSMinVersion  string   `key:"tls_min_version" default:"1.3" oneof:"1.2|1.3" doc:"Oldest version of TLS that is spoken"`
	TLSClientCA    string   `key:"tls_client_ca_file" default:"" is:"path" empty:"none are asked for" doc:"Authorities of client certificates, in PEM form; service.key is then accepted with such a certificate only"`
}

// Limits are what one caller, and all together, may ask for.
type Limits struct {
	RequestsPerMinute  int `key:"requests_per_minute" default:"1000" min:"0" max:"1000000" doc:"Requests of one caller a minute, which may come at once; 0 is any number"`
	LoginsPerMinute    int `key:"logins_per_minute" default:"30" min:"0" max:"1000000" doc:"Tries of one address to sign in a minute; 0 is any number"`
	CheckoutsPerMinute int `key:"checkouts_per_minute" default:"120" min:"0" max:"1000000" doc:"Orders and joins of one shopper at one address a minute; 0 is any number"`
	// A URL with a password in it is a secret.
	StoreURL    Secret `key:"store_url" default:"" is:"store" empty:"each program counts for itself" doc:"Redis or Valkey in which programs of one shop count together"`
	Concurrency int    `key:"concurrency" default:"0" min:"0" max:"100000" doc:"Requests that are worked on at once, and as many again that wait; 0 is 16 for each of database.api_connections"`
}

// Ops is the listener of metrics, which customers never reach.
type Ops struct {
	Addr string `key:"addr" default:"127.0.0.1:9464" is:"address" empty:"no such listener" doc:"Address of the metrics"`
}

// Database says where the data lives. The URLs are secrets because they carry
// passwords; everything that shows one goes through RedactDSN.
type Database struct {
	URL         Secret `key:"url" default:"" is:"dsn" paas:"DATABASE_URL" empty:"a private cluster in data.dir" doc:"PostgreSQL the program works on, as a role without ownership"`
	MigrateURL  Secret `key:"migrate_url" default:"" is:"dsn" empty:"same as database.url" doc:"The same database as its owner and without a pooler between, for migrations"`
	Pooled      bool   `key:"pooled" default:"false" doc:"A PgBouncer in transaction mode stands before database.url"`
	AutoMigrate bool   `key:"auto_migrate" default:"true" doc:"Apply pending migrations at start"`
	// Requests and event handlers have pools of their own, so that a burst of
	// the one cannot starve the other.
	APIConnections int `key:"api_connections" default:"16" min:"1" max:"500" doc:"Connections for requests"`
	BusConnections int `key:"bus_connections" default:"6" min:"1" max:"500" doc:"Connections for event handlers"`
}

// Bus is the carrier of events between modules.
type Bus struct {
	Driver string `key:"driver" default:"inprocess" oneof:"BusDrivers" env:"FUSION_BUS" flag:"bus" doc:"What carries events between modules"`
}

// BusDrivers are the words bus.driver accepts. A driver is added when it works,
// not before: an option that is offered and then refused helps nobody.
var BusDrivers = []string{"inprocess", "kafka"}

// Kafka carries the events when bus.driver says so.
type Kafka struct {
	Brokers     []string `key:"brokers" default:"" is:"address" empty:"none" doc:"Brokers to begin with; they name the others"`
	Prefix      string   `key:"prefix" default:"" empty:"no prefix" doc:"Begins the names of topics and consumer groups, for shops that share a cluster"`
	Replication int      `key:"replication" default:"0" min:"0" max:"15" doc:"Copies of each topic that the program makes; 0 is three, or one a broker when there are fewer"`
	TLS         bool     `key:"tls" default:"false" doc:"Talk to the brokers over TLS"`
	CAFile      string   `key:"ca_file" default:"" is:"path" empty:"those of the system" doc:"Authorities that sign the brokers' certificates, in PEM form"`
	CertFile    string   `key:"cert_file" default:"" is:"path" empty:"none" doc:"Certificate that the program shows, in PEM form"`
	KeyFile     string   `key:"key_file" default:"" is:"path" empty:"none" doc:"Key of kafka.cert_file, in PEM form"`
	SASL        string   `key:"sasl" default:"none" oneof:"none|plain|scram-sha-256|scram-sha-512" doc:"How the program says who it is"`
	User        string   `key:"user" default:"" empty:"none" doc:"User of kafka.sasl"`
	Password    Secret   `key:"password" default:"" empty:"none" doc:"Password of kafka.user"`
}

// Catalog says where products and prices are when this process does not have them.
type Catalog struct {
	URL string `key:"url" default:"" is:"url" empty:"in the same database" doc:"A deployment that runs the catalog on a database of its own"`
}

// Identity says where accounts and sessions are when this process does not have them.
type Identity struct {
	URL string `key:"url" default:"" is:"url" empty:"who has signed in elsewhere is not known here" doc:"A deployment that runs the accounts, to be asked who has signed in"`
}

// Service is how deployments of one shop know each other.
type Service struct {
	Key         Secret `key:"key" default:"" empty:"no such key" doc:"What deployments of one shop show each other; the same in all of them"`
	TLSCertFile string `key:"tls_cert_file" default:"" is:"path" empty:"none" doc:"Certificate that the program shows other deployments, in PEM form; read again when it changes"`
	TLSKeyFile  string `key:"tls_key_file" default:"" is:"path" empty:"none" doc:"Key of service.tls_cert_file, in PEM form"`
	TLSCAFile   string `key:"tls_ca_file" default:"" is:"path" empty:"those of the system" doc:"Authorities that sign the other deployments' certificates, in PEM form"`
}

// Bootstrap is for machines that use a shop before anybody made a key.
type Bootstrap struct {
	Key Secret `key:"key" default:"" empty:"no such key" doc:"An owner API key of the default tenant, good while the program runs with it"`
}

// Tenants is how the shops of an installation are kept apart and come to their end.
type Tenants struct {
	StrictHosts bool          `key:"strict_hosts" default:"false" doc:"Refuse hosts that no tenant has, instead of taking them for the default tenant's"`
	DeleteGrace time.Duration `key:"delete_grace" default:"720h" min:"1m" max:"8760h" doc:"Time in which a deleted tenant can be taken back, before everything of it is removed"`
}

// Secrets are the keys that seal what the shop must be able to read back.
type Secrets struct {
	Key          Secret `key:"key" default:"" is:"master_key" empty:"one that the first start makes, in data.dir" doc:"Master key that seals secrets in the database; the same in all programs of a shop, and kept apart from its backups"`
	PreviousKeys Secret `key:"previous_keys" default:"" is:"master_keys" empty:"none" doc:"Earlier master keys, which still open what they sealed until fusion secrets rotate is through"`
}

// Auth is about the access tokens of people who have signed in.
type Auth struct {
	Issuer      string        `key:"issuer" default:"fusion" doc:"Name that access tokens bear as their issuer, such as the URL of the shop"`
	Algorithm   string        `key:"algorithm" default:"RS256" oneof:"RS256|EdDSA" doc:"How access tokens are signed; after a change the next key is of the new kind"`
	AccessTTL   time.Duration `key:"access_ttl" default:"15m" min:"1m" max:"1h" doc:"How long an access token is good"`
	KeyRotation time.Duration `key:"key_rotation" default:"2160h" min:"24h" max:"8760h" doc:"Age at which a signing key is followed by the next one"`
	// What a hash costs is written into it: those of before are raised at the next login.
	PasswordMemory int `key:"password_memory" default:"19456" min:"19456" max:"1048576" doc:"KiB that the hash of a password takes; two are made at a time"`
	PasswordPasses int `key:"password_passes" default:"2" min:"2" max:"10" doc:"Passes over that memory"`
}

// Outbound is about requests to addresses that people of a shop choose.
type Outbound struct {
	Inside []string `key:"inside" default:"" is:"network" empty:"none" doc:"Networks that such requests may reach although they are not public, such as 127.0.0.0/8 where one develops"`
}

// Mail is how letters leave: verification, resets, invitations.
type Mail struct {
	SMTPURL   Secret `key:"smtp_url" default:"" is:"smtp" empty:"letters become files in mail.dir" doc:"Mail server that takes letters for everybody; smtp wants STARTTLS unless it is on this machine or ?starttls=off says otherwise"`
	CAFile    string `key:"ca_file" default:"" is:"path" empty:"those of the system" doc:"Authorities that sign the mail server's certificate, in PEM form"`
	Dir       string `key:"dir" default:"" is:"path" empty:"mail in data.dir" doc:"Folder of the letters while there is no mail server"`
	From      string `key:"from" default:"" is:"sender" empty:"shop@localhost, which goes no further than mail.dir" doc:"Sender of letters. The name before it is that of the sender of each shop, or of the shop; in the default tenant's, the one that stands here"`
	LinkBase  string `key:"link_base" default:"" is:"url" empty:"http.public_url, or the address that this program listens on" doc:"Where links in letters of a shop lead that has neither a storefrontUrl nor a host"`
	AdminBase string `key:"admin_base" default:"" is:"url" empty:"/admin at the shop's first host, or of http.public_url; mail.link_base without either" doc:"Where links in letters to the staff of all shops lead"`
}

// Checkout is what carts are granted.
type Checkout struct {
	Hold time.Duration `key:"hold" default:"10m" min:"1m" max:"24h" doc:"How long the stock of a cart is held while its buyer checks out, from each change on"`
}

// Orders is what becomes of orders.
type Orders struct {
	UnpaidFor      time.Duration `key:"unpaid_for" default:"1h" min:"5m" max:"720h" zero:"never" doc:"How long an order that was a cart keeps its stock while nobody pays it, before it is cancelled"`
	OverdueAfter   time.Duration `key:"overdue_after" default:"72h" min:"1h" max:"2160h" zero:"never" doc:"How long an order that is paid may wait to be packed before it says so (heldFor: overdue)"`
	OnLabelFailure string        `key:"on_label_failure" default:"hold" oneof:"hold|refund" doc:"What becomes of an order when no label can be bought for it: hold leaves it to staff, refund cancels what cannot be sent and gives the money back"`
	HoldAbove      []string      `key:"hold_above" default:"" is:"amount" empty:"none" doc:"Orders that cost more than this wait until staff has looked at them (POST /v1/orders/{id}/release) before they are sent, one amount for each currency"`
}

// Payments is how money comes in.
type Payments struct {
	TestProvider bool   `key:"test_provider" default:"false" doc:"Offer the provider test, which moves no money: a shop that has it gives goods away. fusion dev always does"`
	StripeURL    string `key:"stripe_url" default:"" is:"url" empty:"Stripe itself" doc:"Where Stripe's API is asked, such as a simulator (fusion sim stripe)"`
}

// Shipping is how parcels go out.
type Shipping struct {
	EasyPostURL string `key:"easypost_url" default:"" is:"url" empty:"EasyPost itself" doc:"Where EasyPost's API is asked, such as a simulator (fusion sim carrier)"`
	ShippoURL   string `key:"shippo_url" default:"" is:"url" empty:"Shippo itself" doc:"Where Shippo's API is asked, such as a simulator (fusion sim carrier)"`
}

// Audit is the log of who changed what.
type Audit struct {
	Retention time.Duration `key:"retention" default:"8784h" min:"720h" max:"876000h" doc:"How long the audit log is kept, in whole months that are dropped when all of them is older; 8784h is a leap year"`
}

// Log is what the program writes about itself.
type Log struct {
	Level  string `key:"level" default:"info" oneof:"debug|info|warn|error" doc:"Least severe messages to log"`
	Format string `key:"format" default:"auto" oneof:"auto|json|pretty" doc:"Form of the log; auto is pretty on a terminal, else json"`
}

// Shutdown is the patience of a stop.
type Shutdown struct {
	// Delay is for the time that a balancer needs to notice: until then it goes on to send
	// requests here, and a listener that is gone would refuse them.
	Delay time.Duration `key:"delay" default:"0s" min:"0s" max:"5m" doc:"Time after a stop signal in which requests are still let in while /readyz says draining, so that balancers notice; it comes before shutdown.timeout"`
	// Timeout must stay below what the supervisor grants before it kills
	// (systemd 90s, Kubernetes 30s), or a payment is cut off half-way.
	Timeout time.Duration `key:"timeout" default:"25s" min:"1s" max:"10m" doc:"Time to finish requests and event handlers before exit"`
}
