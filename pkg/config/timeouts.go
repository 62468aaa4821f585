// SPDX-License-Identifier: Apache-2.0

package config

import "time"

// defaultTimeouts keep below kubelet's two minutes for an ADD and containerd's
// one minute for a DEL, after which the process is killed without clean-up
// (containerd internal/cri/util, DeferContext).
var defaultTimeouts = Timeouts{Add: 90 * time.Second, Del: 45 * time.Second, Status: 2 * time.Second, Call: 30 * time.Second}

// DefaultTimeouts returns the limits where a configuration says nothing.
func DefaultTimeouts() Timeouts { return defaultTimeouts }

// maxTimeout is beyond what any runtime waits.
const maxTimeout = 10 * time.Minute

type wireTimeouts struct {
	Add    *string `json:"add"`
	Del    *string `json:"del"`
	Status *string `json:"status"`
	Call   *string `json:"call"`
}

func readTimeouts(doc document, c *Config) error {
	var w wireTimeouts
	if err := doc.section("timeouts", &w); err != nil {
		return err
	}
	t := c.Timeouts
	for _, f := range []struct {
		key  string
		text *string
		into *time.Duration
	}{
		{"add", w.Add, &t.Add}, {"del", w.Del, &t.Del}, {"status", w.Status, &t.Status}, {"call", w.Call, &t.Call},
	} {
		if f.text == nil {
			continue
		}
		d, err := time.ParseDuration(*f.text)
		if err != nil {
			return invalid("timeouts."+f.key, "%q is not a duration such as 90s", *f.text)
		}
		if d <= 0 || d > maxTimeout {
			return invalid("timeouts."+f.key, "%s is not above 0 and up to %s", d, maxTimeout)
		}
		*f.into = d
	}
	c.Timeouts = t
	return nil
}
