/*
 * `walcast token`: mints a JWT for development and prints it.
 *
 * argv[0] is the word "token", the options follow. The secret is --secret or JWT_SECRET. Members of
 * --claims join role, iat and exp and win over their defaults; naming one twice is an error.
 * Threads: main only. Returns the exit status: 0, 1 (out of memory, output failed), 2 (usage).
 */
#ifndef WC_BRIDGE_CLI_TOKEN_H
#define WC_BRIDGE_CLI_TOKEN_H

int wc_cli_token(int argc, char **argv);

#endif
