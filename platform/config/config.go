// Package config is every setting there is: one struct, read from flags, ARCHIVE_* variables, a YAML file and defaults, in this order.
package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"slices"
	"strings"

	"github.com/bgce/archive/platform/vault"
)

// Config is flat: the koanf tag is the YAML key, upper-cased behind ARCHIVE_ the variable, with dashes the flag.
type Config struct {
	Data           string   `koanf:"data" default:"./data" doc:"directory for everything this process keeps: the private PostgreSQL, keys, mail, the operators' socket"`
	HTTP           string   `koanf:"http" default:"127.0.0.1:8080" doc:"address the API listens on, host:port"`
	DB             Secret   `koanf:"db" doc:"PostgreSQL to use (15 or newer), a DSN; empty starts a private one under the data directory"`
	Eventstore     string   `koanf:"eventstore" default:"postgres" doc:"engine of the log: postgres"`
	Key            Secret   `koanf:"key" doc:"master key, base64 of 32 bytes or file:PATH; empty with the private PostgreSQL makes one in the data directory"`
	AdminEmail     string   `koanf:"admin_email" doc:"log-in of the first administrator, used when the log is empty; empty is admin@ the domain"`
	AdminPassword  Secret   `koanf:"admin_password" doc:"password of the first administrator, used when the log is empty; empty makes one and writes it to first-admin in the data directory"`
	Domain         string   `koanf:"domain" default:"localhost" doc:"domain of the root tenant"`
	Run            string   `koanf:"run" default:"all" doc:"parts this process runs: all, or words like 'write:ROOM,ROOM read:* project:ROOM'"`
	Service        string   `koanf:"service" doc:"one service with its write and read API and its views, on the service's port unless http is set"`
	SMTP           Secret   `koanf:"smtp" doc:"mail server, smtp://user:password@host:port; empty writes mail to files in the data directory"`
	TrustedProxies []string `koanf:"trusted_proxies" doc:"networks whose X-Forwarded-* headers count, comma separated CIDRs"`
	LimitReads     int      `koanf:"limit_reads" default:"6000" doc:"reads a minute, per address and per account; -1 is no limit"`
	LimitWrites    int      `koanf:"limit_writes" default:"3000" doc:"writes a minute, per address and per account; -1 is no limit"`
	LimitAuth      int      `koanf:"limit_auth" default:"60" doc:"log-ins and the like a minute, per address; -1 is no limit"`
	LogLevel       string   `koanf:"log_level" default:"info" doc:"debug, info, warn or error"`
	LogFormat      string   `koanf:"log_format" default:"auto" doc:"text, json, or auto: text on a terminal"`
	AutoSwitch     bool     `koanf:"auto_switch" default:"false" doc:"take new versions of views into use as soon as they are built; for development"`
	PGBin          string   `koanf:"pg_bin" doc:"directory with initdb and postgres for the private PostgreSQL; empty looks in /usr/lib/postgresql and PATH"`
	Server         string   `koanf:"server" doc:"client: URL of the API; empty speaks to the process that serves the data directory, through its socket"`
	Token          Secret   `koanf:"token" doc:"client: bearer token for the server; empty uses what 'archive login' stored"`
	Host           string   `koanf:"host" doc:"client: domain of the tenant to speak to; empty is the server's own"`
}

// Secret is a setting that is never printed, logged or marshalled.
type Secret string

const hidden = "(set, not shown)"

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString keeps %#v from showing the secret.
func (s Secret) GoString() string { return s.String() }

// MarshalText keeps encoders and loggers from showing the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal is the value itself.
func (s Secret) Reveal() string { return string(s) }

// Embedded says whether the process starts its own PostgreSQL.
func (c Config) Embedded() bool { return c.DB == "" }

// FirstAdmin is the log-in of the first administrator.
func (c Config) FirstAdmin() string {
	if c.AdminEmail != "" {
		return c.AdminEmail
	}
	return "admin@" + c.Domain
}

// Port is the port of the HTTP address.
func (c Config) Port() string {
	_, port, _ := net.SplitHostPort(c.HTTP)
	return port
}

// Loopback says whether only this machine can reach the HTTP address.
func (c Config) Loopback() bool {
	host, _, _ := net.SplitHostPort(c.HTTP)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// URL is where a browser on this machine finds the server.
func (c Config) URL() string {
	host, port, _ := net.SplitHostPort(c.HTTP)
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Proxies are the networks of TrustedProxies; check has made sure that they parse.
func (c Config) Proxies() []netip.Prefix {
	var nets []netip.Prefix
	for _, s := range c.TrustedProxies {
		if p, err := netip.ParsePrefix(s); err == nil {
			nets = append(nets, p)
		}
	}
	return nets
}

// check gives every complaint about the values, none of them showing a secret.
func (c Config) check() []string {
	var wrong []string
	complain := func(key, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("%s: ", Variable(key))+fmt.Sprintf(format, args...))
	}
	if _, port, err := net.SplitHostPort(c.HTTP); err != nil || port == "" {
		complain("http", "%q is not host:port, such as 127.0.0.1:8080", c.HTTP)
	}
	oneOf := func(key, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			complain(key, "%q is none of %s", value, strings.Join(allowed, ", "))
		}
	}
	oneOf("eventstore", c.Eventstore, "postgres")
	oneOf("log_level", c.LogLevel, "debug", "info", "warn", "error")
	oneOf("log_format", c.LogFormat, "auto", "text", "json")
	if c.Data == "" {
		complain("data", "may not be empty")
	}
	if c.Domain == "" || strings.ContainsAny(c.Domain, "/: @") || c.Domain != strings.ToLower(c.Domain) {
		complain("domain", "%q is not a lower-case domain name without port", c.Domain)
	}
	if _, err := mail.ParseAddress(c.FirstAdmin()); err != nil {
		complain("admin_email", "%q is not an e-mail address", c.AdminEmail)
	}
	if c.Key != "" {
		if _, err := vault.ParseKey(c.Key.Reveal()); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	perMinute := func(key string, n int) {
		if n < -1 || n == 0 {
			complain(key, "%d is no number of requests a minute; give 1 or more, or -1 for no limit", n)
		}
	}
	perMinute("limit_reads", c.LimitReads)
	perMinute("limit_writes", c.LimitWrites)
	perMinute("limit_auth", c.LimitAuth)
	for _, s := range c.TrustedProxies {
		if _, err := netip.ParsePrefix(s); err != nil {
			complain("trusted_proxies", "%q is not a network like 10.0.0.0/8", s)
		}
	}
	return wrong
}
