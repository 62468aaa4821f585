// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"

	"github.com/containernetworking/cni/pkg/utils"
)

// Journal is the sections log and metrics: what a verb writes beside its result.
type Journal struct {
	Log LogLevel
	// LogFile is empty for the default.
	LogFile string
	// MetricsFile is for windows_exporter's textfile collector; empty is none.
	MetricsFile string
}

// LogLevel is how much a verb logs.
type LogLevel int

// Levels of the log. LogInfo is a line for each verb, LogDebug one for each native
// call, too.
const (
	LogOff LogLevel = iota
	LogInfo
	LogDebug
)

// ParseJournal reads the sections log and metrics, and the name of the network, which is
// empty where it is not one. It is for what every verb does first, before it knows
// whether the configuration is right: what is wrong is off, and Parse tells why.
func ParseJournal(stdin []byte) (j Journal, network string) {
	doc, err := parseDocument(stdin)
	if err != nil {
		return Journal{}, ""
	}
	var c Config
	_ = readLog(doc, &c)
	_ = readMetrics(doc, &c)
	if network, err = doc.text("name"); err != nil || utils.ValidateNetworkName(network) != nil {
		network = ""
	}
	return c.Journal, network
}

type wireLog struct {
	Level *string `json:"level"`
	File  *string `json:"file"`
}

func readLog(doc document, c *Config) error {
	var w wireLog
	if err := doc.section("log", &w); err != nil || isNull(doc["log"]) {
		return err
	}
	level := LogInfo
	if w.Level != nil {
		known := false
		if level, known = map[string]LogLevel{"off": LogOff, "info": LogInfo, "debug": LogDebug}[*w.Level]; !known {
			return invalid("log.level", "%q is not one of off, info, debug", *w.Level)
		}
	}
	file := ""
	if w.File != nil {
		if file = *w.File; !local(file) {
			return invalid("log.file", "%q is not the whole path of a file on a drive of the node, such as C:/ProgramData/bulkhead/logs/bulkhead.log", file)
		}
	}
	c.Journal.Log, c.Journal.LogFile = level, file
	return nil
}

type wireMetrics struct {
	File string `json:"file"`
}

func readMetrics(doc document, c *Config) error {
	var w wireMetrics
	if err := doc.section("metrics", &w); err != nil || isNull(doc["metrics"]) {
		return err
	}
	switch {
	case w.File == "":
		return invalid("metrics.file", "missing; write the file that windows_exporter's textfile collector is to read")
	case !local(w.File):
		return invalid("metrics.file", "%q is not the whole path of a file on a drive of the node", w.File)
	case !strings.HasSuffix(w.File, ".prom"):
		return invalid("metrics.file", "%q does not end in .prom, and windows_exporter's textfile collector reads no other file", w.File)
	}
	c.Journal.MetricsFile = w.File
	return nil
}

// local reports whether a path is absolute and on a drive of the node: a verb must not
// wait for a share of another machine. Both kinds of slashes do on Windows.
func local(path string) bool {
	path = strings.ReplaceAll(path, `\`, "/")
	if len(path) > 1 && path[1] == ':' && 'a' <= path[0]|0x20 && path[0]|0x20 <= 'z' {
		path = path[2:]
	}
	return strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//")
}
