using System.Text;
using Coppice.Cli;

// Texts in any language, on any console.
Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
return await Invocation.Run(args);
