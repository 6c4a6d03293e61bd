package daemon

import (
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"skiff/cli/command"
	"skiff/daemon/datadir"
)

func kubeconfigCommand(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "kubeconfig", Usage: "Print the daemon's kubeconfig, or merge it into your own",
		Description: "A context that was merged stays right when the daemon is started again, and after a reset: from then on the daemon keeps its authority\n" +
			"and its address, until skiff daemon reset --forget.",
		Flags: []cli.Flag{dataDirFlag(), &cli.BoolFlag{Name: "merge", Usage: "add the context skiff to your own kubeconfig and make it the current one"}},
		Action: withDir(env, func(c *cli.Context, dir datadir.Dir) error {
			kc, err := dir.ReadKubeconfig()
			if err != nil {
				return err
			}
			if c.Bool("merge") {
				path, err := mergeKubeconfig(kc)
				if err == nil {
					err = dir.KeepAuthority()
				}
				if err == nil {
					fmt.Fprintf(env.Err, "merged the context %s into %s and made it the current one\n", strconv.Quote(datadir.ContextName), path)
				}
				return err
			}
			raw, err := clientcmd.Write(*kc)
			if err == nil {
				_, err = env.Out.Write(raw)
			}
			return err
		}),
	}, "skiff kubeconfig --merge && kubectl get pods")
}

// mergeKubeconfig puts skiff's context into the user's own file and makes it the current one,
// leaving all others as they are. It returns the path of the file.
func mergeKubeconfig(skiff *clientcmdapi.Config) (string, error) {
	access := clientcmd.NewDefaultPathOptions()
	user, err := access.GetStartingConfig()
	if err != nil {
		return "", fmt.Errorf("reading your kubeconfig: %w", err)
	}
	cluster, identity, context := skiff.Clusters[datadir.ContextName], skiff.AuthInfos[datadir.ContextName], skiff.Contexts[datadir.ContextName]
	// Otherwise they would be written back to where they were read from.
	cluster.LocationOfOrigin, identity.LocationOfOrigin, context.LocationOfOrigin = "", "", ""
	if before := user.Contexts[datadir.ContextName]; before != nil && before.Namespace != "" {
		context.Namespace = before.Namespace // chosen by the user
	}
	user.Clusters[datadir.ContextName], user.AuthInfos[datadir.ContextName], user.Contexts[datadir.ContextName] = cluster, identity, context
	user.CurrentContext = datadir.ContextName
	if err := clientcmd.ModifyConfig(access, *user, false); err != nil {
		return "", fmt.Errorf("writing your kubeconfig: %w", err)
	}
	return access.GetDefaultFilename(), nil
}
