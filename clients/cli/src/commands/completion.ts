import type { Command } from 'commander';
import { completionSummary } from '../program.ts';

const directives = { files: 0, noFiles: 4 };

/** Files where nothing is offered; and it works where the package bash-completion is not installed. */
const bashAddition = `
complete -o default -F __scu_complete scu
if ! declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref() {
        cur=\${COMP_WORDS[COMP_CWORD]}
        prev=\${COMP_WORDS[COMP_CWORD - 1]}
        words=("\${COMP_WORDS[@]}")
        cword=$COMP_CWORD
    }
fi`;

/** `scu completion SHELL`, and the hidden `scu complete` by which the shells ask. Added last: it looks at all other commands. */
export const addCompletionCommands = async (program: Command): Promise<void> => {
  const { default: addCompletion } = await import('@bomb.sh/tab/commander');
  const completion = withShortDescriptions(program, () => addCompletion(program, { completionCommandName: 'completion' }));
  // Where there is nothing to offer the shell offers files; the library never lets it.
  Object.defineProperty(completion, 'directive', {
    get: () => (completion.completions.length > 0 ? directives.noFiles : directives.files),
    set: () => {},
  });
  program.commands
    .find((command) => command.name() === 'completion')
    ?.summary(completionSummary)
    .hook('postAction', (_, { args: [shell] }) => {
      if (shell === 'bash') console.log(bashAddition);
    })
    .addHelpText(
      'after',
      `
Examples:
  $ echo 'source <(scu completion bash)' >> ~/.bashrc
  $ echo 'source <(scu completion zsh)' >> ~/.zshrc        (below compinit)
  $ scu completion fish > ~/.config/fish/completions/scu.fish`,
    );
};

/** Shells take each line of a description for something to offer: meanwhile all commands are described by their summaries. */
const withShortDescriptions = <Result>(program: Command, work: () => Result): Result => {
  const described = everyCommand(program).map((command) => ({ command, description: command.description() }));
  for (const { command } of described) command.description(command.summary());
  const result = work();
  for (const { command, description } of described) command.description(description);
  return result;
};

const everyCommand = (command: Command): Command[] => command.commands.flatMap((each) => [each, ...everyCommand(each)]);
