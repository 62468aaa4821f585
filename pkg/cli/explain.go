// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

func (s *session) explainCode() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain CODE",
		Short: "Say what an error code of HNS means, what usually causes it, and what to do",
		Long: "Say what an error code of HNS means. CODE is spelt as logs spell it: hex (0x80070490, 0x490, 80070490), decimal\n" +
			"(1168, 2147943568, -2143617020) or its symbol (HCN_E_NETWORK_NOT_FOUND).",
		Example: "  bulkhead explain 0x803b0015\n  bulkhead explain -2143617020",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return s.meaning(args[0]) },
	}
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var out []string
		for _, m := range hns.Meanings() {
			out = append(out, m.Symbol)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	return c
}

// isNegative reports whether an argument is a code as .NET prints it, which would be taken
// for flags.
func isNegative(arg string) bool {
	n, err := strconv.Atoi(arg)
	return err == nil && n < 0
}

// codesLast moves negative codes behind "--", where no flags are.
func codesLast(args []string) []string {
	if len(args) == 0 || slices.Contains(args, "--") || !slices.Contains(args, "explain") {
		return args
	}
	var out, codes []string
	for _, a := range args {
		if isNegative(a) {
			codes = append(codes, a)
			continue
		}
		out = append(out, a)
	}
	if len(codes) == 0 {
		return args
	}
	return slices.Concat(out, []string{"--"}, codes)
}

// codeAnswer is what explain prints.
type codeAnswer struct {
	Code    string `json:"code"`
	Decimal uint32 `json:"decimal"`
	Signed  int32  `json:"signed"`
	Symbol  string `json:"symbol"`
	Meaning string `json:"meaning"`
	Cause   string `json:"cause"`
	Cure    string `json:"cure"`
}

func (s *session) meaning(spelt string) error {
	code, err := hns.ParseHRESULT(spelt)
	if err != nil {
		return err
	}
	m, ok := code.Meaning()
	if !ok {
		return failed{fmt.Errorf("%s is not among the codes that HNS is known to answer; Windows may know it: certutil -error %[1]s", code)}
	}
	a := codeAnswer{fmt.Sprintf("0x%08x", uint32(code)), uint32(code), int32(code), m.Symbol, m.Text, m.Cause, m.Advice}
	return s.print(a, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s (%d, %d) %s\nMeaning: %s.\nUsual cause: %s.\nCure: %s.\n", a.Code, a.Decimal, a.Signed, a.Symbol, a.Meaning, a.Cause, a.Cure)
		return err
	})
}
