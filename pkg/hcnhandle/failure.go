// SPDX-License-Identifier: Apache-2.0

package hcnhandle

import (
	"fmt"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Failure returns the error of a native call, or nil. An error record makes it fail
// even when the HRESULT does not (hcsshim hcn/hcnerrors.go, checkForErrors).
// Functions without a record have an empty one.
func Failure(function string, code hns.HRESULT, record string) error {
	switch {
	case !code.Failed() && record == "":
		return nil
	case !code.Failed():
		code = hns.CodeGenFailure
	}
	if record == "" {
		return &hns.Error{Code: code, Err: fmt.Errorf("%s failed", function)}
	}
	return &hns.Error{Code: code, Err: fmt.Errorf("%s failed %s", function, record)}
}
