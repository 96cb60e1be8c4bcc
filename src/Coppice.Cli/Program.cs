using System.Text;
using Coppice.Cli;

// Texts in any language, on any console.
Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
Console.SetError(new StandardError(Console.Error));
return await Invocation.Run(args);
