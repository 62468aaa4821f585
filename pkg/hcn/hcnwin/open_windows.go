// SPDX-License-Identifier: Apache-2.0

package hcnwin

import (
	"io"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/bulkhead-cni/bulkhead/pkg/hcn"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Open returns the client, which gives up on a native call after perCall. It makes
// no call: whether HNS is there shows at the first one. hcsshim's log is switched
// off for the process, as a CNI plugin owes its standard streams to the runtime.
func Open(perCall time.Duration) (hns.Client, error) {
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.PanicLevel)
	return hcn.New(native{}, perCall), nil
}
